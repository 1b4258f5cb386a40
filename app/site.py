"""What the policy says of the site's paths, for the detectors."""

from app.policies.policy import Policy
from detectors.engine import Site


def site_of(policy: Policy) -> Site:
    """The paths that the policy names; where it names none, the detectors' own."""
    own = Site()
    return Site(
        own.login_paths if policy.login_paths is None else policy.login_paths,
        own.login_forms if policy.login_forms is None else policy.login_forms,
        policy.health_paths,
        policy.shared_from,
    )
