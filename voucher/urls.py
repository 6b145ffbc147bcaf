"""Addresses of this app, included at the root."""

from django.urls import path

from voucher.api import VoucherKeys

urlpatterns = [
    path(".well-known/voucher-keys.json", VoucherKeys.as_view(), name="voucher-keys"),
]
