"""Every address of the deployment."""

from django.urls import include, path

urlpatterns: list = [
]
