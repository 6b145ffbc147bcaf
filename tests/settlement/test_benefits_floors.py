"""What an authority asks is checked against the policies below it, and every breach is named."""

from pathlib import Path

import pytest

from settlement.benefits import PolicyError, load_policy
from settlement.benefits.floors import check_floors, load_authority

FOLDER = Path(__file__).resolve().parents[2] / "policies"
AUTHORITIES = [
    load_authority(path.read_text(encoding="utf-8"), name=path.name)
    for path in sorted((FOLDER / "authorities").glob("*.toml"))
]
SHENYANG = (FOLDER / "210100-2021.toml").read_text(encoding="utf-8")
HOHHOT = (FOLDER / "150100-2020.toml").read_text(encoding="utf-8")


def breaches(text):
    return check_floors(load_policy(text, name="x.toml"), AUTHORITIES)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_the_products_policies_keep_the_floors_above_them(path):
    assert breaches(path.read_text(encoding="utf-8")) == ()


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        # LN-03: a rate of 69.9 % or a cap of 399,999 is refused, no cap and 400,000 are not.
        (SHENYANG, 'rate = "90%"\nsource = "assumption"\nnote = "The floor',
         'rate = "69.9%"\nsource = "assumption"\nnote = "The floor',
         "x.toml: layer 7 (large_amount): rate 1: rate: 69.9% is below the 70% that liaoning "),
        (SHENYANG, '[[layer]]\nname = "civil_servant"',
         '[[layer.cap]]\namount = 399999\nper = "bill"\nsource = "assumption"\n'
         '[[layer]]\nname = "civil_servant"',
         "x.toml: layer 7 (large_amount): cap 1: amount: 399999.00 is below the 400000.00 that "),
        (SHENYANG, '[[layer]]\nname = "civil_servant"',
         '[[layer.cap]]\namount = 400000\nper = "bill"\nsource = "assumption"\n'
         '[[layer]]\nname = "civil_servant"',
         ""),
        # LN-04: every band of resident major illness, and no cap.
        (SHENYANG, '{ up_to = 100000, rate = "65%" }', '{ up_to = 100000, rate = "59.99%" }',
         "x.toml: layer 9 (major): rate 1: tiers 2: rate: 59.99% is below the 60% that liaoning "),
        (SHENYANG, '[[layer]]\nname = "aid"',
         '[[layer.cap]]\namount = 900000\nper = "bill"\nsource = "assumption"\n'
         '[[layer]]\nname = "aid"',
         "x.toml: layer 9 (major): cap 1: liaoning (liaoning.toml: floor 4) allows no cap"),
        # LN-06: not below 50 %, and the retired not below the active.
        (SHENYANG, 'rate = "50%"\nadjust', 'rate = "49%"\nadjust',
         "x.toml: layer 3 (outpatient_employee): rate 1: rate: 49% is below the 50% that "),
        (SHENYANG, '[[layer.rate]]\nrate = "50%"\nadjust',
         '[[layer.rate]]\ncategories = ["retired"]\nrate = "51%"\nsource = "assumption"\n'
         '[[layer.rate]]\ncategories = ["active"]\nrate = "52%"\nadjust',
         "x.toml: layer 3 (outpatient_employee): rate 1: rate: 51% is below the 52% of active, "),
        # NM-07 and NM-06.
        (HOHHOT, 'rate = "70%"\nsource = "nm-07"', 'rate = "69%"\nsource = "nm-07"',
         "x.toml: layer 8 (aid): rate 1: rate: 69% is below the 70% that inner_mongolia "),
        (HOHHOT, 'not_aids = ["poverty_register"]', 'aids = ["poverty_register"]',
         "x.toml: layer 7 (major): cap 1: inner_mongolia (inner_mongolia.toml: floor 2) allows no"),
        # A rate away from home is no matter of a floor that speaks of home.
        (SHENYANG, '[[layer.rate]]\nrate = "50%"\nadjust',
         '[[layer.rate]]\ncare = ["away_temporary"]\nrate = "40%"\nsource = "assumption"\n'
         '[[layer.rate]]\nrate = "50%"\nadjust',
         ""),
        # Nor are days on which the floor and the rule never meet.
        (SHENYANG, '[[layer.rate]]\nrate = "50%"\nadjust',
         '[[layer.rate]]\nuntil = 2021-01-01\nrate = "40%"\nsource = "assumption"\n'
         '[[layer.rate]]\nrate = "50%"\nadjust',
         ""),
        (SHENYANG, 'authorities = ["liaoning"]', 'authorities = ["inner_mongolia"]',
         "x.toml: authorities: inner_mongolia (150000) is not above 210100"),
        (SHENYANG, 'authorities = ["liaoning"]', 'authorities = ["liaonin"]',
         "x.toml: authorities: no authority 'liaonin', known: inner_mongolia, liaoning"),
        # Whoever names no authority is unchecked, whatever the rate.
        (SHENYANG.replace('rate = "50%"\nadjust', 'rate = "1%"\nadjust'),
         'authorities = ["liaoning"]\n', "", ""),
    ],
)  # fmt: skip
def test_a_breach_is_named_by_file_key_and_authority(text, old, new, expected):
    assert old in text
    found = breaches(text.replace(old, new, 1))
    assert len(found) == bool(expected)
    if expected:
        assert found[0].startswith(expected)


def test_an_average_is_taken_over_a_stated_cost():
    authority = load_authority(
        'format = 1\nname = "a"\narea = "000000"\ntitle = { zh = "全国", en = "nation" }\n'
        '[[floor]]\nmeasures = "average"\nover = 100000\nat_least = "62.5%"\n'
        'payers = ["major_illness"]\nsource = "assumption"\n',
        name="a.toml",
    )
    text = SHENYANG.replace('authorities = ["liaoning"]', 'authorities = ["a"]')
    # 60 % of the first 50,000 and 65 % of the next make 62.5 %.
    assert check_floors(load_policy(text, name="x.toml"), [authority]) == ()
    lower = load_policy(text.replace('"65%"', '"64.99%"'), name="x.toml")
    (found,) = check_floors(lower, [authority])
    assert "62.49% is below the 62.5% that a (a.toml: floor 1) asks for (average)" in found


def test_a_broken_authority_file_is_refused_with_every_place_named():
    with pytest.raises(PolicyError) as refused:
        load_authority(
            'format = 1\nname = "a"\narea = "2100"\ntitle = { zh = "省", en = "province" }\n'
            '[[floor]]\nmeasures = "rate"\nat_least = 0.5\npayers = ["cash"]\n',
            name="a.toml",
        )
    assert [problem.split(", found")[0] for problem in refused.value.problems] == [
        'a.toml: area: expected "000000" for the nation or a province such as "210000"',
        "a.toml: floor 1: payers: expected a list of pool, large_amount, major_illness, "
        "civil_servant, medical_aid, second_aid, hospital_waiver, commercial",
        'a.toml: floor 1: at_least: expected a percentage from "0%" to "100%" in quotes, '
        'such as "70%" or "7.5%"',
        "a.toml: floor 1: source: missing, expected the name of an entry of [sources], "
        'or "assumption"',
    ]
