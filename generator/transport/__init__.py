"""How servers are asked: within a time in all, with every failure typed."""

from generator.transport.policy import HttpPolicy
from generator.transport.session import (
    RETRIED,
    forget_hosts,
    from_status,
    open_session,
    read_body,
    typed,
    unanswered,
)
