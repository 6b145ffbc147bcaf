"""The sentences of an explanation, in Chinese and English.

A table of texts with named places for figures; which sentence is said when is decided in
`explanation`.  The texts live here and not in gettext because the calculator is a pure package
that explains itself without Django.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["zh", "en"]

TEXTS: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {
        "total": "费用合计 {total} 元。",
        "in_range": "其中政策范围内 {amount} 元。",
        "over_limit": "超出限价 {amount} 元，由个人承担。",
        "first_pay.item": "按目录先行自付 {amount} 元，由个人承担。",
        "first_pay.group": "{base} 元按 {rate} 先行自付 {amount} 元，由个人承担。",
        "first_pay.away": "临时外出就医，{base} 元首先自付 {rate}，即 {amount} 元，由个人承担。",
        "outside": "第 {lines} 项{reason}，共 {amount} 元不由基金支付。",
        # The catalogue's own words, in its own language.
        "restriction": "（{restriction}）",
        "and": "、",
        "layer": "{title}：计算基数 {base} 元",
        "deductible_bill": "，先扣起付线 {amount} 元",
        "deductible_year": "，本年度起付线尚余 {left} 元，本次扣除 {amount} 元",
        "flat": "，余下 {part} 元按 {rate} 计 {paid} 元",
        "tier": "，其中第 {position} 段 {part} 元按 {rate} 计 {paid} 元",
        "over_cap": "，超出限额的 {amount} 元不予支付",
        "cap": "，限额尚余 {left} 元",
        "pays": "，支付 {paid} 元。",
        "pays_nothing": "{title}：支付 0.00 元，{reason}。",
        "source": "依据：{sources}。",
        "source_and": "；",
        "assumption": "本系统假设，尚无公布数字",
        "account": "{title}：可由账户支付的部分 {base} 元，支付 {paid} 元。",
        "account_cap": (
            "{title}：可由账户支付的部分 {base} 元，账户可用 {left} 元，支付 {paid} 元。"
        ),
        "cash.citizen": "您需支付现金 {amount} 元。",
        "cash.cashier": "应收现金 {amount} 元。",
        "cash_none.citizen": "您无需支付现金。",
        "cash_none.cashier": "无需收取现金。",
        "fund": "基金共支付 {amount} 元。",
        "private_layer": "其他基金",
        "no_fund": "此类结算不由统筹基金支付。",
        # Why a line is outside.
        "line.not_in_catalogue": "不在医保目录内",
        "line.class_c": "属于目录外自费",
        "line.needs_prescription": "须凭处方，未附有效处方",
        "line.not_for_this_disease": "不属于本次备案病种的用药或项目",
        # Why a layer paid nothing.
        "layer.pool_frozen": "统筹待遇目前未享受（如欠费）",
        "layer.account_frozen": "个人账户目前不可使用",
        "layer.disease_not_filed": "没有该病种的备案",
        "layer.institution_not_chosen": "本机构不在选定机构之内",
        "layer.no_rate_for_this_case": "在本机构没有适用的支付比例",
        "layer.nothing_in_base": "没有可计入的费用",
        "layer.within_deductible": "费用 {base} 元未超过尚余起付线 {left} 元",
        "layer.cap_reached": "已达限额",
        "layer.account_empty": "账户没有可用余额",
        "layer.account_not_wanted": "按要求不使用个人账户",
        "layer.rounds_to_nothing": "金额不足一分",
        "package": "按“{title}”收费标准结算：各项合计 {listed} 元，按 {charged} 元收费。",
        "price_rule": "{listed} 元的项目按收费标准的 {rate} 收取，即 {charged} 元。",
        "price_rule_counted": "{listed} 元的项目按 {rate} 计入，即 {charged} 元，其余由个人承担。",
        "deductible_left": "，起付线尚余 {left} 元，本次扣除 {amount} 元",
        "deductible_after_rate": "，再减去定额 {amount} 元",
        "threshold": "，起付标准尚余 {left} 元，达到后全额计算，本次扣除 {amount} 元",
        "fixed": "，按定额支付",
        "stated": "，按结算单载明的金额支付",
        "relative": "其中{holder}的个人账户（家庭共济）支付 {amount} 元。",
        "line.amenity": "属于特需服务",
        "line.restricted_use": "不符合限定支付范围",
        "line.counted_in_part": "只部分计入",
        "layer.nothing_stated": "结算单未载明金额",
        # What an accumulator counts, after the name of what it belongs to.
        "counter": "{owner}：{counted}",
        "counter.owners": "、",
        "counter.of": "{title}（{of}）",
        "counter.disease": "病种 {mark}",
        "counter.stay": "住院 {mark}",
        "counter.day": "{mark}",
        "counter.month": "{mark}",
        "counted.deductible": "已付起付线",
        "counted.payment": "已支付",
        "counted.base": "已计入费用",
        "counted.above_deductible": "起付线以上费用",
        "counted.personal": "个人负担",
    },
    "en": {
        "total": "The bill comes to {total} yuan.",
        "in_range": "Of this, {amount} yuan is in range.",
        "over_limit": "{amount} yuan is above a price limit and stays with the member.",
        "first_pay.item": "{amount} yuan is first pay by the catalogue and stays with the member.",
        "first_pay.group": (
            "{rate} of {base} yuan is first pay: {amount} yuan stays with the member."
        ),
        "first_pay.away": (
            "Away from home {rate} of {base} yuan is first pay: "
            "{amount} yuan stays with the member."
        ),
        "outside": "Line {lines}: {reason}; {amount} yuan is not paid by the fund.",
        "restriction": " ({restriction})",
        "and": ", ",
        "layer": "{title}: the base is {base} yuan",
        "deductible_bill": ", less a deductible of {amount} yuan",
        "deductible_year": (
            ", of this year's deductible {left} yuan was left and {amount} yuan is taken now"
        ),
        "flat": ", the remaining {part} yuan at {rate} makes {paid} yuan",
        "tier": ", {part} yuan in tier {position} at {rate} makes {paid} yuan",
        "over_cap": ", {amount} yuan above the cap is not paid",
        "cap": ", the cap leaves {left} yuan",
        "pays": ", it pays {paid} yuan.",
        "pays_nothing": "{title}: pays 0.00 yuan, {reason}.",
        "source": " Source: {sources}.",
        "source_and": "; ",
        "assumption": "an assumption of this system, no figure is published",
        "account": "{title}: {base} yuan may be paid from it, it pays {paid} yuan.",
        "account_cap": (
            "{title}: {base} yuan may be paid from it, {left} yuan is available, "
            "it pays {paid} yuan."
        ),
        "cash.citizen": "You pay {amount} yuan in cash.",
        "cash.cashier": "Collect {amount} yuan in cash.",
        "cash_none.citizen": "You pay nothing in cash.",
        "cash_none.cashier": "Collect no cash.",
        "fund": "The funds pay {amount} yuan in all.",
        "private_layer": "Other fund",
        "no_fund": "No fund pays for a settlement of this kind.",
        "line.not_in_catalogue": "not in the catalogue",
        "line.class_c": "outside the insured scope",
        "line.needs_prescription": "needs a prescription and none is attached",
        "line.not_for_this_disease": "not claimable under the disease of this bill",
        "layer.pool_frozen": "the pool is not in force for the member (arrears, for example)",
        "layer.account_frozen": "the account cannot be used at present",
        "layer.disease_not_filed": "the disease is not filed",
        "layer.institution_not_chosen": "this institution is not among the chosen ones",
        "layer.no_rate_for_this_case": "no rate applies at this institution",
        "layer.nothing_in_base": "there is nothing it could pay for",
        "layer.within_deductible": (
            "the {base} yuan do not exceed the {left} yuan left of the deductible"
        ),
        "layer.cap_reached": "its cap is reached",
        "layer.account_empty": "the account is empty",
        "layer.account_not_wanted": "the account is not to be used",
        "layer.rounds_to_nothing": "the amount is below one fen",
        "package": (
            'Charged by the package "{title}": the items come to '
            "{listed} yuan, {charged} yuan is charged."
        ),
        "price_rule": (
            "Items of {listed} yuan are charged at {rate} of their price: {charged} yuan."
        ),
        "price_rule_counted": (
            "Items of {listed} yuan are counted at {rate}: {charged} "
            "yuan; the rest stays with the member."
        ),
        "deductible_left": (
            ", of the deductible {left} yuan was left and {amount} yuan is taken now"
        ),
        "deductible_after_rate": ", less a flat {amount} yuan",
        "threshold": (
            ", {left} yuan are left to reach, after which everything "
            "counts, and {amount} yuan is taken now"
        ),
        "fixed": ", a fixed amount",
        "stated": ", the amount stated on the slip",
        "relative": "Of this the account of {holder} (shared in the family) pays {amount} yuan.",
        "line.amenity": "an amenity",
        "line.restricted_use": "outside the use it is restricted to",
        "line.counted_in_part": "counted in part only",
        "layer.nothing_stated": "the slip states no amount",
        "counter": "{owner}: {counted}",
        "counter.owners": ", ",
        "counter.of": "{title} ({of})",
        "counter.disease": "disease {mark}",
        "counter.stay": "stay {mark}",
        "counter.day": "{mark}",
        "counter.month": "{mark}",
        "counted.deductible": "deductible met",
        "counted.payment": "paid",
        "counted.base": "cost counted",
        "counted.above_deductible": "cost above the deductible",
        "counted.personal": "left to the member",
    },
}
