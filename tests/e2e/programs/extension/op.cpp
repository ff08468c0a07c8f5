#include <torch/extension.h>

namespace {

at::Tensor scaled_outer(const at::Tensor& left, const at::Tensor& right, double scale) {
  TORCH_CHECK(left.dim() == 1 && right.dim() == 1, "two vectors are needed");
  return at::outer(left, right) * scale;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("scaled_outer", &scaled_outer, "outer product of two vectors, scaled");
}

TORCH_LIBRARY(armtorch_test, library) {
  library.def("scaled_outer(Tensor left, Tensor right, float scale) -> Tensor");
}

TORCH_LIBRARY_IMPL(armtorch_test, CompositeImplicitAutograd, library) {
  library.impl("scaled_outer", &scaled_outer);
}
