"""The made-up credentials, for tests that need no more than a secret and a text around it."""

from key_samples import SECRETS

__all__ = ["SECRETS"]
