#include <torch/torch.h>

#include <iostream>

int main() {
  torch::manual_seed(0);
  const auto matrix = torch::randn({16, 16}, torch::kFloat64);
  const auto positive = matrix.matmul(matrix.t()) + 16 * torch::eye(16, torch::kFloat64);
  const auto solution = torch::linalg_solve(positive, matrix);
  TORCH_CHECK(torch::allclose(positive.matmul(solution), matrix), "solve is wrong");

  torch::nn::Linear layer(4, 1);
  const auto input = torch::ones({1, 4}, torch::requires_grad());
  layer->forward(input).sum().backward();
  TORCH_CHECK(torch::allclose(input.grad(), layer->weight), "gradient is wrong");
  std::cout << "checked with torch " << TORCH_VERSION << '\n';
}
