"""The app's name in the staff's administration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VoucherConfig(AppConfig):
    """Members, what they are entitled to, vouchers and keys."""

    name = "voucher"
    verbose_name = _("Members and vouchers")
