"""The operator is there both as a Python function and in torch's dispatcher."""

import armtorch_extension
import torch

left, right = torch.arange(3.0), torch.arange(4.0, requires_grad=True)
expected = 2 * torch.outer(left, right)
assert torch.equal(armtorch_extension.scaled_outer(left, right, 2.0), expected)
operator = torch.ops.armtorch_test.scaled_outer
found = operator(left, right, 2.0)
assert torch.equal(found, expected)
found.sum().backward()
assert torch.equal(right.grad, 2 * left.sum().expand(4))
try:
    operator(expected, right, 1.0)
except RuntimeError as error:
    assert "two vectors are needed" in str(error)  # noqa: PT017
else:
    raise SystemExit("a matrix was taken for a vector")
print("the extension works")
