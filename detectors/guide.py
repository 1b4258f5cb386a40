"""What people need to know of a rule: shown with every incident of it, and the source of docs/rules.md."""

import msgspec


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """A short runbook. Each text is one to three sentences of plain words, without markup."""

    phrase: str = ""
    """The beginning of a finding's sentence, completed by sentence.py. `{subject}`, `{rule}`; `{times}` is `10 times`,
    or `as 10 different users` where the policy says that those are counted; `{count}` alone, for detectors that say
    themselves what must differ; `{percent}` and `{total}` for ratios; `{measured}`, `{rest}` and `{percentile}` for
    percentiles."""
    what: str
    """What it is, and what the attacker is after."""
    needs: str
    """The fields without which the rule is silent."""
    check: str
    """How to tell whether it is real."""
    act: str
    """What to do if it is."""
    wrong: str
    """When it is not: who does the same without harm, and what to change then."""
    references: tuple[str, ...] = ()
    """Ids of ATT&CK techniques (`T1110.004`), OWASP API risks (`API2:2023`), automated threats (`OAT-008`), CWEs."""
