"""feedstock.yaml: the whole declaration of what a person wants, read and validated."""

from generator.feedstock.declaration import (
    DebianBase,
    Destination,
    Feedstock,
    IndexSource,
    Line,
    Policies,
    SubdirName,
    SubdirWish,
    TrainPolicy,
)
from generator.feedstock.reading import (
    parse_feedstock,
    read_feedstock,
    refuse_unknown_indexes,
    schema_text,
)
from generator.feedstock.sources import Source
