"""Every combination that a channel has a pytorch for, with the commands that install it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import get_args

from generator.channel import Record
from generator.channel.destinations import labelled_url
from generator.channel.retention import newest_first, series_of
from generator.datafiles import subdirs
from generator.feedstock import Feedstock
from generator.model import Accelerator
from generator.model.cell import TrainName
from generator.page.content import Combination
from generator.page.coverage import in_order, python_of
from generator.page.records import Listed

#: machine, accelerator, Python, and what the selector calls the train
_Key = tuple[str, str, str, str]


def offers(there: Sequence[Listed], channel: str, feedstock: Feedstock) -> tuple[Combination, ...]:
    """Return the combinations, in the selector's order; ``channel`` is what commands name."""
    newest: dict[_Key, Listed] = {}
    known = subdirs()
    for each in there:
        record = each.record
        python = python_of(record) if record.name == "pytorch" else ""
        accelerator = series_of(record)[2]
        # a command asks for both, the accelerator by the head of the build, on a machine known here
        if not python or record.subdir not in known or not _names(record.build, accelerator):
            continue
        key = (record.subdir, accelerator, python, _train(each))
        if key not in newest or newest_first(record) > newest_first(newest[key].record):
            newest[key] = each
    beside: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for each in there:
        beside[each.label, each.record.name].append(each.record)
    return tuple(
        _offer(key, newest[key], beside, channel, feedstock) for key in sorted(newest, key=_place)
    )


def _names(build: str, accelerator: str) -> bool:
    return bool(accelerator) and build.startswith(Accelerator.parse(accelerator).build_prefix)


def first_offer(offers: Sequence[Combination]) -> int:
    """Return the place of what most people come for: the newest whole trio on a plain Python."""
    known = list(subdirs())
    return max(
        range(len(offers)),
        key=lambda place: (
            -known.index(offers[place].machine),
            is_release(offers[place].train),
            len(offers[place].specs),
            not offers[place].python.endswith("t"),
            offers[place].accelerator == "cpu",
            *map(in_order, (offers[place].train, offers[place].python)),
        ),
        default=0,
    )


def _train(each: Listed) -> str:
    """Return what the selector calls a release: ``2.10``, or the name of a moving train."""
    return ".".join(each.record.version.split(".")[:2]) if each.train == "stable" else each.train


def is_release(train: str) -> bool:
    """Whether a choice of the selector is a stable release, and not a train that moves."""
    return train not in get_args(TrainName)


def train_order(train: str) -> tuple[object, ...]:
    """Sort nightly, rc, then the releases: the last one is what to offer first."""
    return (is_release(train), in_order(train))


def _place(key: _Key) -> tuple[object, ...]:
    return (*map(in_order, key[:3]), train_order(key[3]))


def _offer(
    key: _Key,
    torch: Listed,
    beside: dict[tuple[str, str], list[Record]],
    channel: str,
    feedstock: Feedstock,
) -> Combination:
    machine, accelerator, python, train = key
    record = torch.record
    abi = f"python={python.removesuffix('t')}"
    # with a build string a version without .* is taken whole: =3.14=*_cp314t means ==3.14
    threading = f".*=*_cp{python.replace('.', '')}" if python.endswith("t") else ""
    companions = [
        f"{name}={other.version}"
        for name in ("torchvision", "torchaudio")
        if (other := _companion(record, beside[torch.label, name], python, accelerator)) is not None
    ]
    built = Accelerator.parse(accelerator)
    board = [built.board_spec] if built.board_spec and machine.startswith("linux-") else []
    torch_spec = f"pytorch={record.version}={built.build_prefix}*"
    specs = (f"{abi}{threading}", torch_spec, *companions, *board)
    bases = next((row.base for name, row in feedstock.subdirs.items() if name == machine), ())
    # what all trains share, such as the metapackages, lies in the channel itself
    own = dict.fromkeys((labelled_url(channel, torch.label), labelled_url(channel, "")))
    return Combination(
        machine=machine,
        accelerator=accelerator,
        python=python,
        train=train,
        label=torch.label,
        version=record.version,
        specs=specs,
        commands=commands(specs, (*own, *bases), machine),
    )


def _companion(
    torch: Record, others: Sequence[Record], python: str, accelerator: str
) -> Record | None:
    """Return the newest torchvision or torchaudio that was made for this pytorch."""
    fitting = [
        other
        for other in others
        if other.subdir == torch.subdir
        and series_of(other)[2] == accelerator
        and python_of(other) in {python, ""}
        and _pairs(other, torch)
    ]
    return max(fitting, key=newest_first, default=None)


def _pairs(other: Record, torch: Record) -> bool:
    return all(torch.fits(wanted) for wanted in other.needs("pytorch"))


def commands(specs: Sequence[str], channels: Sequence[str], machine: str) -> dict[str, str]:
    """Return the exact text for each tool."""
    quoted = " ".join(f'"{spec}"' if "*" in spec else spec for spec in specs)
    places = " ".join(f"-c {name}" for name in channels)
    listed = "\n".join(f"  - {name}" for name in channels)
    wanted = "\n".join(f"  - {spec}" for spec in specs)
    return {
        "conda": f"conda create -n torch --override-channels {places} {quoted}",
        "mamba": f"mamba create -n torch --override-channels {places} {quoted}",
        "pixi": f"pixi init torch {places} --platform {machine}\ncd torch\npixi add {quoted}",
        "environment.yml": f"name: torch\nchannels:\n{listed}\n  - nodefaults\n"
        f"dependencies:\n{wanted}",
    }
