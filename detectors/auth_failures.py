"""auth_failures: somebody tries to get in and is refused.

Default: 10 in a minute from one address (an IPv6 /64), which is then blocked.
Source: ATT&CK T1110 (brute force), OWASP OAT-007 (credential cracking), API2:2023; the operator's document.
"""

from collections.abc import Iterable

from detectors.detector import LONGEST_QUOTE, Detector, Look, Surroundings, Verdict, is_one_of, path_of
from detectors.event import Event
from detectors.guide import Guide
from detectors.scanner import ENCODED

LOGIN = "login"
"""Tag of records that name a login path."""
LOGIN_FORM = "login_form"
"""Tag of records that name a login form."""


class AuthFailures(Detector):
    """Counts refusals."""

    guide = Guide(
        phrase="{subject} failed to log in {times}",
        what=(
            "Somebody guesses passwords or keys, and each guess leaves a refusal: HTTP 401 on any "
            "path, 403 on a login path, a POST to a login form that answers 200 where success is "
            "a redirect (wp-login.php, xmlrpc.php), `outcome: failure` of an authentication "
            "event, sshd `Failed <method> for`. An attempt counts once, however many signs of "
            "failure it shows."
        ),
        needs=(
            "`client_ip` and `status`, or `outcome`; `path` and `method` for logins that answer 403 or 200."
        ),
        check=(
            "`bartizan incidents show ID`: many `user` values, or one that fails within the same "
            "second again and again, is a machine; one user, one user agent and pauses of seconds "
            "is a person. `bartizan incidents list --entity ADDRESS` says whether it did anything "
            "else, and your login log whether it ever got in."
        ),
        act=(
            "Keep the address blocked. Where one of the accounts named in the evidence logged in from "
            "there since, force a password reset and end its sessions; ask for a second factor on "
            "the accounts that were tried most."
        ),
        wrong=(
            "An application with an expired token repeats one path with one user agent: mend the "
            "application, lift the block with `bartizan blocks remove ID --reason ...`. An office "
            "or a monitor: `bartizan allow add ADDRESS --note ...`, or a higher threshold."
        ),
        references=("T1110", "OAT-007", "API2:2023", "CWE-307"),
    )

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN_FORM, ENCODED})
    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """At most one verdict: an attempt counts once, however many signs of failure it shows."""
        reason = failure_of(look.event, self._site)
        return (Verdict(self._rule, reason),) if reason else ()

    def why_not(self, look: Look) -> str:
        """Which sign of a failure is not one here."""
        return _why_no_failure(look.event, self._site)


class FailedLogins(AuthFailures):
    """The failed authentications that name a user, for the rules about accounts."""

    def judge(self, look: Look) -> Iterable[Verdict]:
        """At most one verdict; none where the log does not say who it was."""
        return super().judge(look) if look.event.user else ()

    def why_not(self, look: Look) -> str:
        """That nobody is named, where it is a failure."""
        return "the event names no user" if not look.event.user else super().why_not(look)


def failure_of(event: Event, site: Surroundings) -> str | None:
    """Why this event is a failed authentication, and of whom: `status 401 on /login for alice`. None: it is not."""
    sign = _sign_of_failure(event, site)
    return f"{sign}{attempt_of(event)}" if sign else None


def attempt_of(event: Event) -> str:
    """` on /login for alice`, as far as the log says so."""
    path = (event.path or "").partition("?")[0][:LONGEST_QUOTE]
    on = f" on {path}" if path else ""
    return f"{on} for {event.user[:LONGEST_QUOTE]}" if event.user else on


def _sign_of_failure(event: Event, site: Surroundings) -> str | None:
    if event.category == "authentication" or (event.category is None and event.status is None):
        if event.outcome == "failure":
            return "outcome failure"
    elif event.outcome == "failure" and is_one_of(path_of(event), site.login_paths):
        return "outcome failure"
    if event.status == 401:
        return "status 401"
    if event.status == 403 and is_one_of(path_of(event), site.login_paths):
        return "status 403"
    if event.status == 200 and event.method == "POST" and is_one_of(path_of(event), site.login_forms):
        return "login form answered 200 instead of a redirect"
    return None


def _why_no_failure(event: Event, site: Surroundings) -> str:
    """What of an event looks like a failure, and what it lacks to be one. Asked of events that are none."""
    path = path_of(event)[:LONGEST_QUOTE]
    if event.outcome == "failure":
        return f"outcome failure counts with category authentication or on a login path, and {path} is none"
    if event.status == 403:
        return f"status 403 counts on a login path, and {path} is none"
    if event.status == 200 and is_one_of(path_of(event), site.login_forms):
        return "a login form that answers 200 counts where the method is POST"
    if event.outcome is not None and event.status is None:
        return f"the outcome is {event.outcome}"
    return ""


def is_login_success(event: Event, site: Surroundings) -> bool:
    """Whether this event is a successful login, as far as a log can tell."""
    if event.category == "authentication" or (event.category is None and event.status is None):
        return event.outcome == "success"
    if event.method != "POST" or event.status is None:
        return False
    path = path_of(event)
    if is_one_of(path, site.login_forms):
        return event.status in (302, 303)
    return 200 <= event.status < 400 and is_one_of(path, site.login_paths)
