// Who was scanned and for what they are covered, as far as this counter may know.

import { h } from "./dom.js";
import { yuan } from "./money.js";
import { category, entitlement, scheme, sex } from "./words.js";

/** The card of a scan's answer, for replacing what was there. */
export function personCard(scan) {
  const { member, enrolment, entitlement: cover, limits } = scan;
  return h(
    "div",
    { class: "person" },
    h(
      "p",
      { class: "person-name" },
      member.name,
      " ",
      h("small", {}, `${sex(member.sex)} · ${interpolate(gettext("age %s"), [member.age])}`),
    ),
    h(
      "p",
      { class: "tags" },
      h("span", { class: `tag ${cover.state === "in_force" ? "good" : "warn"}` }, entitlement(cover.state)),
      h("span", { class: "tag" }, scheme(enrolment.scheme)),
      h("span", { class: "tag" }, category(enrolment.category)),
      limits?.ceiling_fen
        ? h("span", { class: "tag warn" }, `${gettext("At most")} ${yuan(limits.ceiling_fen)}`)
        : null,
    ),
    h("p", { class: "muted small" }, gettext("Check that this is the person in front of you.")),
  );
}

/** The ways of paying that a scan allows here, as {value, text, note, disabled} with the best first. */
export function benefitChoices(scan, { kinds }) {
  const words = {
    outpatient: gettext("Ordinary outpatient"),
    pharmacy_account: gettext("Buying from the personal account"),
  };
  return scan.benefits
    .filter((benefit) => kinds.includes(benefit.kind))
    .map((benefit) => ({
      benefit_kind: benefit.kind,
      disease_code: benefit.disease_code ?? null,
      text: benefit.disease_name
        ? interpolate(gettext("Chronic disease: %s"), [benefit.disease_name])
        : words[benefit.kind] ?? benefit.kind,
      note:
        benefit.institution_chosen === false
          ? gettext("This institution was not chosen for the disease")
          : "",
      disabled: benefit.institution_chosen === false,
    }));
}

/** Fill a fieldset's `choices` with radio buttons; `changed()` is called on every choice. */
export function showChoices(root, name, choices, changed) {
  const first = choices.findIndex((choice) => !choice.disabled);
  root.replaceChildren(
    ...choices.map((choice, index) =>
      h(
        "label",
        { class: "choice" },
        h("input", {
          type: "radio",
          name,
          value: index,
          checked: index === first,
          disabled: choice.disabled,
          onchange: changed,
        }),
        h(
          "span",
          {},
          choice.text,
          choice.note ? h("span", { class: "muted small" }, ` · ${choice.note}`) : null,
        ),
      ),
    ),
  );
}

/** The choice that is checked in `root`, or null. */
export function chosen(root, choices) {
  const checked = root.querySelector("input:checked");
  return checked ? choices[Number(checked.value)] : null;
}
