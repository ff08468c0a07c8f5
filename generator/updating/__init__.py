"""The next lock: which releases become cells, who judges them, and what is held back."""

from generator.updating.holding import with_old_days
from generator.updating.judging import Judge, Prospect
from generator.updating.next_lock import Outcome, update
from generator.updating.surveying import IndexView, survey
