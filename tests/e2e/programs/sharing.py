"""Tensors between processes, through torch_shm_manager and through file descriptors."""

import torch
from torch import multiprocessing
from torch.utils.data import DataLoader, TensorDataset


def add_one(tensor: torch.Tensor, queue: "multiprocessing.Queue") -> None:
    """Change a tensor that another process sees."""
    tensor += 1
    queue.put(int(tensor.sum()))


def check_strategy(name: str) -> None:
    """What a child writes, its parent reads."""
    multiprocessing.set_sharing_strategy(name)
    tensor = torch.zeros(1000).share_memory_()
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=add_one, args=(tensor, queue))
    child.start()
    assert queue.get(timeout=300) == 1000
    child.join()
    assert child.exitcode == 0
    assert tensor.sum() == 1000


def check_data_loader() -> None:
    """A worker process hands batches over."""
    loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_size=4, num_workers=1)
    assert [batch.tolist() for (batch,) in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]


if __name__ == "__main__":
    for strategy in ("file_system", "file_descriptor"):
        check_strategy(strategy)
    check_data_loader()
    print("processes share tensors")
