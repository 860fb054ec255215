"""What can go wrong between us and a language model.

Unavailable
└── ModelFailed               one model gave no answer: the next tier is asked
    └── BadReply              it answered, and twice not in the form that was asked for
"""

from __future__ import annotations

from policies.errors import Unavailable


class ModelFailed(Unavailable):
    """One model gave no usable answer; whoever has a chain of models asks the next."""

    code = "model.failed"


class BadReply(ModelFailed):
    """A model's reply does not fit the schema, even after it was told what is wrong."""

    code = "model.bad_reply"
