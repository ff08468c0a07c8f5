"""The CUDA trio on a machine without a GPU and without NVIDIA's driver.

Prints, as JSON in the last line, the files that /proc/self/maps names then.
"""

import warnings

# torch warns of a missing driver where it is asked to use one, not where it is asked whether it can
warnings.simplefilter("error")

import torch  # noqa: E402
import torchaudio  # noqa: E402
import torchvision  # noqa: E402
from mapped_files import mapped  # noqa: E402
from torchvision.io import decode_jpeg, encode_jpeg  # noqa: E402

assert torch.version.cuda == "13.0"
assert torch.backends.cuda.is_built()
assert torch.cuda.is_available() is False
assert torch.cuda.device_count() == 0
try:
    torch.zeros(1, device="cuda")
except RuntimeError as error:
    assert "NVIDIA driver" in str(error)  # noqa: PT017
else:
    raise SystemExit("a tensor went to a GPU that is not there")

# torchvision's own codecs are deprecated since 0.29, and say so
warnings.resetwarnings()
# the CPU half of the same build, on NVPL's BLAS and LAPACK
torch.manual_seed(0)
matrix = torch.randn(24, 24, dtype=torch.float64) + 24 * torch.eye(24, dtype=torch.float64)
torch.testing.assert_close(torch.linalg.solve(matrix, matrix), torch.eye(24, dtype=torch.float64))
image = torch.full((3, 8, 8), 77, dtype=torch.uint8)
torch.testing.assert_close(decode_jpeg(encode_jpeg(image)), image, atol=2, rtol=0)
assert torchvision.extension._has_ops()
impulse = torch.tensor([0.5, 0, 0, 0])
filtered = torchaudio.functional.lfilter(
    impulse, torch.tensor([1.0, -0.5]), torch.tensor([1.0, 0.0])
)
torch.testing.assert_close(filtered, 0.5 ** torch.arange(1.0, 5.0))

print(mapped())
