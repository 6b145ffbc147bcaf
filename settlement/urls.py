"""Addresses of the signed API that price, settle and look up."""

from django.urls import path

from settlement import api

urlpatterns = [
    path("scans", api.ScanEndpoint.as_view()),
    path("scans/<str:scan_id>", api.ScanRecordEndpoint.as_view()),
    path("visits", api.OpenVisitEndpoint.as_view()),
    path("visits/<str:visit_id>", api.VisitRecordEndpoint.as_view()),
    path("visits/<str:visit_id>/fee-batches", api.AddFeesEndpoint.as_view()),
    path("visits/<str:visit_id>/discharge", api.DischargeEndpoint.as_view()),
    path("visits/<str:visit_id>/prescriptions", api.PrescribeEndpoint.as_view()),
    path("visits/<str:visit_id>/pickups", api.PickUpEndpoint.as_view()),
    path("estimates", api.EstimateEndpoint.as_view()),
    path("quotes", api.QuoteEndpoint.as_view()),
    path("quotes/<str:quote_id>/release", api.ReleaseEndpoint.as_view()),
    path("quotes/<str:quote_id>/tender", api.TenderEndpoint.as_view()),
    path("settlements", api.SettleEndpoint.as_view()),
    path("settlements/<str:settlement_id>", api.SettlementRecordEndpoint.as_view()),
    path("settlements/<str:settlement_id>/slip", api.SlipEndpoint.as_view()),
    path("refunds", api.RefundEndpoint.as_view()),
    path("reversals", api.ReverseEndpoint.as_view()),
    path("settlements/<str:settlement_id>/confirm", api.ConfirmEndpoint.as_view()),
    path("refunds/<str:refund_id>", api.RefundRecordEndpoint.as_view()),
    path("catalogue", api.CatalogueEndpoint.as_view()),
    path("outcomes/<path:idempotency_key>", api.OutcomeEndpoint.as_view()),
]
