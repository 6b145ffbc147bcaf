"""The app of merchants and their terminals."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MerchantsConfig(AppConfig):
    """Named in the reader's language in the administration."""

    name = "merchants"
    verbose_name = _("institutions and terminals")
