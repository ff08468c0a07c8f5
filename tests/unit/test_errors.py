"""One family of errors: a code per kind, facts as attributes, a next step."""

import pickle

from generator import errors

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ArmtorchError)
]


def test_every_kind_has_its_own_word_and_code():
    own = [kind for kind in KINDS if kind is not errors.ArmtorchError]
    assert len({kind.kind for kind in own}) == len(own)
    assert len({kind.exit_code for kind in own}) == len(own)
    # 0 is success, 2 click's usage error, 130 an interrupt
    assert not {kind.exit_code for kind in own} & {0, 2, 130}


def test_absent_unreachable_and_malformed_are_three_kinds():
    three = (errors.AbsentError, errors.UnreachableError, errors.MalformedError)
    for one in three:
        assert not any(issubclass(one, other) for other in three if other is not one)


def test_the_message_says_what_where_and_the_next_step():
    error = errors.IntegrityError("sha256 differs", where="a.whl", next_step="fetch again")
    assert str(error) == "a.whl: sha256 differs\n  next: fetch again"


def test_errors_travel_between_processes():
    for kind in KINDS:
        sent = kind("what", where="where", next_step="next")
        received = pickle.loads(pickle.dumps(sent))  # noqa: S301
        assert (type(received), str(received)) == (kind, str(sent))
