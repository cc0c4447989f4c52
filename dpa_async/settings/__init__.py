"""What a deployment is: where it lives, who we are there, what it is silent about."""

from dpa_async.settings.fields import Dialect, Limits, Settings

__all__ = ["Dialect", "Limits", "Settings"]
