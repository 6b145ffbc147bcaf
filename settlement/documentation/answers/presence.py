"""Answers about scans and visits: who is here, and what was done."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from .shapes import AnswerShape, Fen


class MaskedMember(AnswerShape):
    """As much of a person as a counter may see."""

    name: Annotated[str, Meta(description="Masked: the family name and stars.")]
    reference: Annotated[
        str, Meta(description="Names this person to this institution, always alike.")
    ]
    age: int
    sex: str


class EnrolmentShape(AnswerShape):
    """Where and as what the person is insured."""

    area_code: str
    scheme: Literal["employee", "resident"]
    category: str


class EntitlementShape(AnswerShape):
    """What the enrolment gives today (待遇享受状态)."""

    state: str
    pool: Annotated[bool, Meta(description="The funds pay.")]
    account: Annotated[bool, Meta(description="The personal account pays.")]


class BenefitShape(AnswerShape):
    """A kind of benefit that a bill may ask for; a filed disease brings the last three members."""

    kind: str
    disease_code: str | UnsetType = UNSET
    disease_name: str | UnsetType = UNSET
    institution_chosen: Annotated[
        bool | UnsetType, Meta(description="This institution is one the person chose for it.")
    ] = UNSET


class Limits(AnswerShape):
    """What the citizen limited the code to."""

    ceiling_fen: int | None


class ScanAnswer(AnswerShape):
    """Who is covered, and for what."""

    scan_id: UUID
    use: str
    expires_at: datetime
    member: MaskedMember
    enrolment: EnrolmentShape
    entitlement: EntitlementShape
    benefits: list[BenefitShape]
    limits: Limits


class StoredLine(AnswerShape):
    """A line as it was uploaded, with what it is mapped to."""

    no: int
    code: str
    national_code: str
    name: str
    quantity: str
    unit_price: str
    amount_fen: Fen
    mapped: bool
    in_catalogue: Annotated[bool, Meta(description="The area's catalogue has it on this day.")]


class FeeBatchAnswer(AnswerShape):
    """A stored fee batch."""

    fee_batch_id: UUID
    number: int
    service_date: date
    total_fen: Fen
    lines: list[StoredLine]


class OpenedMember(AnswerShape):
    """The person as an institution learns them with the opening of a visit."""

    name: str
    identity_number: str
    person_number: str
    age: int
    sex: str


class VisitOpened(AnswerShape):
    """A new visit; `fee_batch` holds the registration line where one was given."""

    visit_id: UUID
    scan_id: UUID
    kind: str
    department: str
    doctor: str
    admission_date: Annotated[date | None, Meta(description="Of an admission only.")]
    emergency: bool
    public_emergency: bool
    opened_at: datetime
    fee_batch: FeeBatchAnswer | None
    member: OpenedMember


class Discharged(AnswerShape):
    """A stay that has ended."""

    visit_id: UUID
    admission_date: date
    discharge_date: date
    days: Annotated[int, Meta(description="Bed-days of the whole stay; the last day is none.")]


class PrescribedItem(AnswerShape):
    """An item and how much of it may be dispensed."""

    national_code: str
    name: str
    quantity: str


class Prescribed(AnswerShape):
    """A prescription; its number goes into a line's `prescription`."""

    prescription: str
    visit_id: UUID
    issued_date: date
    until_date: Annotated[date, Meta(description="The first day on which it is no longer good.")]
    lines: list[PrescribedItem]


class HandedOut(AnswerShape):
    """A medicine and its quantity."""

    name: str
    quantity: str


class PickedUp(AnswerShape):
    """What is to be handed out."""

    pickup_id: UUID
    visit_id: UUID
    settlement_id: UUID
    picked_up_at: datetime
    lines: list[HandedOut]


class VisitLine(AnswerShape):
    """A line of a visit, and the settlement that took it."""

    no: int
    code: str
    national_code: str
    name: str
    quantity: str
    unit_price: str
    amount_fen: Fen
    settlement_id: UUID | None


class VisitBatch(AnswerShape):
    """A fee batch of a visit."""

    fee_batch_id: UUID
    number: int
    service_date: date
    total_fen: Fen
    lines: list[VisitLine]


class DiagnosisShape(AnswerShape):
    """A diagnosis as it was uploaded."""

    code: str
    name: str
    main: bool


class VisitSettlement(AnswerShape):
    """A settlement of a visit, in short."""

    settlement_id: UUID
    state: Literal["accepted", "posted"]
    benefit_kind: str
    total_fen: Fen
    pool_fen: Fen
    account_fen: Fen
    relative_fen: Fen
    cash_fen: Fen
    refunded_fen: Fen


class VisitPrescription(AnswerShape):
    """A prescription of a visit, in short."""

    prescription: str
    prescriber: str
    diagnosis: str
    until_date: date


class VisitPickup(AnswerShape):
    """When a settlement's medicines were handed out."""

    pickup_id: UUID
    settlement_id: UUID
    picked_up_at: datetime


class VisitRecord(AnswerShape):
    """A visit with everything in it."""

    visit_id: UUID
    scan_id: UUID | None
    kind: str
    member_name: str
    department: str
    doctor: str
    diagnoses: list[DiagnosisShape]
    admission_date: date | None
    discharge_date: date | None
    emergency: bool
    public_emergency: bool
    opened_at: datetime
    closed_at: datetime | None
    fee_batches: list[VisitBatch]
    settlements: list[VisitSettlement]
    prescriptions: list[VisitPrescription]
    pickups: list[VisitPickup]
