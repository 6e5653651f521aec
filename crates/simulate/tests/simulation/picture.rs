//! The picture in `docs/simulator.md` is of the shop as it is.

use std::collections::BTreeSet;

use tracediff_simulate::{IncidentKind, Scenario, Step, Topology};

const PAGE: &str = include_str!("../../../../docs/simulator.md");

fn arrows<'t>(steps: &'t [Step], arrows: &mut Vec<(&'static str, &'t str)>) {
    for step in steps {
        match step {
            Step::Call(call) => arrows.push(("-->", &call.service)),
            Step::Produce(produce) => arrows.push(("-.->", &produce.service)),
            Step::Internal { steps, .. } | Step::Parallel(steps) | Step::Sequence(steps) => {
                self::arrows(steps, arrows);
            }
            Step::Maybe { step, .. } | Step::Repeat { step, .. } => {
                self::arrows(std::slice::from_ref(step.as_ref()), arrows);
            }
            Step::Work(_) | Step::Query(_) => {}
        }
    }
}

#[test]
fn the_picture_has_every_call_between_services() {
    let shop = Topology::shop();
    let mut expected = BTreeSet::new();
    for service in &shop.services {
        for operation in &service.operations {
            let mut of_operation = Vec::new();
            arrows(&operation.steps, &mut of_operation);
            for (arrow, callee) in of_operation {
                expected.insert(format!("{} {arrow} {callee}", service.name));
            }
        }
    }
    let drawn = PAGE
        .lines()
        .map(str::trim)
        .filter(|l| l.contains("-->") || l.contains("-.->"));
    let drawn: BTreeSet<String> = drawn.map(str::to_owned).collect();
    assert_eq!(drawn, expected);
}

#[test]
fn the_page_lists_every_scenario_incident_and_service() {
    for scenario in Scenario::ALL {
        let row = format!("| `{scenario}` | {} |", scenario.description());
        assert!(PAGE.contains(&row), "{row}");
    }
    for kind in IncidentKind::ALL {
        let row = format!("| `{kind}` | {} |", kind.description());
        assert!(PAGE.contains(&row), "{row}");
    }
    for service in Topology::shop().services {
        assert!(
            PAGE.contains(&format!("| {} ", service.name)),
            "{}",
            service.name
        );
    }
}
