"""Addresses under `/api/v1/` about a terminal and its merchant."""

from django.urls import path

from merchants import api

urlpatterns = [
    path("terminals/enrol", api.EnrolEndpoint.as_view()),
    path("terminals/roll", api.RollEndpoint.as_view()),
    path("items", api.ItemsEndpoint.as_view()),
]
