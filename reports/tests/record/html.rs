//! The page of HTML: whole without JavaScript, small, and harmless whatever stands in a record; and in a browser, where there is one,
//! its filters.

use reports::{Entry, Host, Matrix, Run, Verdict};
use rstest::rstest;

use crate::browser::Page;
use crate::coverage;
use crate::fixture::{self, HOSTILE};
use crate::formats::rendered;

fn side_by_side(runs: &[(&str, &Run)]) -> String {
    let mut out = Vec::new();
    Matrix::new(runs.iter().copied()).write_html(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The same run on a kernel where the claims that failed held.
fn before() -> Run {
    let Run { host, claims, .. } = fixture::run();
    let held = |entry: reports::Entry| match entry.verdict {
        Verdict::Fail => fixture::entry(&entry.name, Verdict::Pass),
        _ => entry,
    };
    let host = Host { release: "6.1.0-1-cloud-amd64".into(), ..host };
    Run::new(host, claims.into_iter().map(held).collect(), vec![])
}

#[test]
fn the_head_says_what_happened_and_failures_come_first() {
    let page = rendered("html", &fixture::run());
    // Drift is information, not failure.
    assert!(page.contains("<h1>4 failures in 12 claims on Linux 6.12.48-cloud-amd64</h1>"), "{page}");
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}"));
    assert!(at("id=\"failures\"") < at("id=\"known\"") && at("id=\"known\"") < at("id=\"matrix\""));
    assert!(page.contains("rflags: <del>0x2</del>") && page.contains("rflags: <ins>0x202</ins>"), "{page}");
    assert!(page.contains("<code>assay replay vcpu::regs::round_trip --seed 5eed</code>"));
}

#[test]
fn what_broke_between_two_kernels_is_told() {
    let (old, new) = (before(), fixture::run());
    let page = side_by_side(&[("6.1.0-1-cloud-amd64", &old), ("6.12.48-cloud-amd64", &new)]);
    assert!(
        page.contains("breaks between 6.1.0-1 and 6.12.48: what was stored is not what is returned"),
        "{page}"
    );
    let page = side_by_side(&[("6.12.48-cloud-amd64", &new), ("6.1.0-1-cloud-amd64", &old)]);
    assert!(page.contains("is repaired between 6.12.48 and 6.1.0-1"), "{page}");
}

#[test]
fn what_could_not_be_judged_is_told_and_not_called_well() {
    let faulted =
        Run::new(fixture::host(), vec![fixture::because("a::b", Verdict::Fault, "out of memory")], vec![]);
    let page = rendered("html", &faulted);
    assert!(page.contains("Nothing can be said of 1 claim: the harness or a host broke."), "{page}");
    assert!(!page.contains("Nothing: every claim held"), "{page}");
}

#[test]
fn what_broke_behind_a_column_that_says_nothing_is_told() {
    let run = |verdict| Run::new(fixture::host(), vec![fixture::entry("a::b", verdict)], vec![]);
    let (old, between, new) = (run(Verdict::Pass), run(Verdict::Skip), run(Verdict::Fail));
    let page = side_by_side(&[("6.1", &old), ("6.12", &between), ("6.18", &new)]);
    assert!(page.contains("breaks between 6.1 and 6.18"), "{page}");
}

#[test]
fn a_witness_is_shown_of_the_columns_that_saw_it() {
    let run = |seen| {
        let why = Some("it is known".to_owned());
        let entry = Entry { why, ..fixture::saw("a::b", Verdict::Known, seen) };
        Run::new(fixture::host(), vec![entry], vec![])
    };
    let (one, other) = (run("13"), run("14"));
    let page = side_by_side(&[("6.1", &one), ("6.12", &other)]);
    assert!(page.contains("The witness on 6.1<") && page.contains("The witness on 6.12<"), "{page}");
}

#[test]
fn nothing_of_a_record_becomes_markup() {
    let page = rendered("html", &fixture::hostile());
    assert!(!page.contains("<!-- |") && !page.contains("</details> <"), "{page}");
    assert_eq!(page.chars().find(|c| c.is_control() && *c != '\n'), None);
    let script = Run::new(
        Host { release: "<script>alert(1)</script>".into(), ..Host::default() },
        vec![fixture::because(
            "a::\"><img src=x onerror=alert(1)>",
            Verdict::Fail,
            "<script>alert(1)</script>",
        )],
        vec!["<script>alert(1)</script>".into()],
    );
    let page = rendered("html", &script);
    assert_eq!(page.matches("<script>").count(), 1, "the page's own: {page}");
    assert!(!page.contains("<img"), "{page}");
}

#[test]
fn nothing_is_fetched() {
    let page = rendered("html", &fixture::run());
    for word in ["http://", "https://", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn what_was_tried_is_mapped() {
    let (first, second) = (coverage::recorded(), coverage::recorded_elsewhere());
    let page = side_by_side(&[("6.1.0-1-cloud-amd64", &first), ("6.12.48-cloud-amd64", &second)]);
    let (_, tried) = page.split_once("<section id=\"tried\"").unwrap();
    let (tried, _) = tried.split_once("<section id=\"hosts\"").unwrap();
    for shown in [
        // On each kernel, together, in sweeps alone, out of reach.
        "<th scope=\"row\">descriptor-command pairs</th><td>119</td><td>3</td><td>1</td><td>4</td><td>115</td>",
        "<span class=\"v pass\" title=\"seen by a claim that passed\">✓ EEXIST</span>",
        "<span class=\"v known\" title=\"seen in sweeps alone\">≈ success</span>",
        "<span class=\"v fault\" title=\"seen in claims alone that did not pass\">? eexist</span>",
        "<span class=\"v none\" title=\"not seen\">– einval</span>",
        "title=\"out of reach: documented for too many entries, which KVM clamps instead\">× ENOMEM</span>",
        "<span class=\"v pass\" title=\"seen by a claim that passed\">✓ EXIT_HYPERCALL</span>",
        "<code>KVM_EXIT_HLT</code></th><td class=\"pass\">3</td><td class=\"none\">–</td>",
        "<code>KVM_EXIT_TDX</code> <small>needs TDX</small></th><td class=\"skip\">×</td>",
        "<th scope=\"row\" class=\"sub\"><code>KVM_RUN_X86_SMM</code>",
    ] {
        assert!(tried.contains(shown), "no {shown} in {tried}");
    }
}

#[test]
fn what_took_long_is_plotted() {
    let page = rendered("html", &coverage::recorded());
    let (_, hosts) = page.split_once("<section id=\"hosts\"").unwrap();
    for title in ["Time per claim", "Exit latencies"] {
        assert!(hosts.contains(&format!("<h3>{title}</h3>")), "no {title} in {hosts}");
    }
    assert!(!hosts.contains("Cases per property"), "none of these claims has more than one case");
    assert!(hosts.contains("<th scope=\"row\">10 to 30 ms</th><td>4</td>"), "{hosts}");
    assert!(hosts.contains("<th scope=\"row\">HLT</th><td>1.8 µs to 1.8 µs</td>"), "{hosts}");
    let page = rendered("html", &fixture::run());
    assert!(page.contains("<h3>Cases per property</h3>") && !page.contains("Exit latencies"), "{page}");
}

#[test]
fn the_maps_open_in_a_browser() {
    let Some(mut page) = Page::open(&rendered("html", &coverage::recorded()), "tried") else { return };
    let folded = "[...document.querySelectorAll('#tried details')]";
    page.evaluate(&format!("{folded}.forEach((d) => d.querySelector('summary').click())"));
    let open = format!("{folded}.filter((d) => d.open && d.lastElementChild.clientHeight > 0).length");
    assert_eq!(page.evaluate(&open), 4 + 2);
    page.closes_quietly();
}

/// A run with as many claims as nobody has yet, every tenth skipped, and some known.
fn large(release: &str) -> Run {
    let entry = |number: usize| {
        let name = format!("area{}::subject_{}::a_claim_with_a_name_{number}", number % 7, number / 20);
        match number % 50 {
            0 => fixture::saw(&name, Verdict::Known, "0x1234"),
            n if n % 10 == 1 => fixture::because(&name, Verdict::Skip, "needs KVM_CAP_SOMETHING"),
            _ => reports::Entry { answers: coverage::running(), ..fixture::entry(&name, Verdict::Pass) },
        }
    };
    Run::new(Host { release: release.into(), ..fixture::host() }, (0..1500).map(entry).collect(), vec![])
}

#[test]
fn nine_kernels_and_1500_claims_stay_below_3_mb() {
    let names: Vec<_> = (0..9).map(|minor| format!("6.{minor}.0-cloud-amd64")).collect();
    let runs: Vec<_> = names.iter().map(|name| large(name)).collect();
    let page = side_by_side(&names.iter().map(String::as_str).zip(&runs).collect::<Vec<_>>());
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

#[rstest]
#[case("q=status:fail", "2 of 12 claims")]
#[case("q=vcpu/%20-status:skip", "2 of 12 claims")]
#[case("q=vcpu/nested_state", "2 of 12 claims")]
#[case("q=is:observed", "1 of 12 claims")]
#[case("q=needs:nested", "2 of 12 claims")]
#[case("q=source:4.11", "1 of 12 claims")]
#[case("q=returns%20what", "1 of 12 claims")]
#[case("q=is:different", "0 of 12 claims")]
#[case("q=status:great", "there is no verdict great")]
#[case("q=color:red", "the terms are status:")]
#[case("matrix", "")]
fn a_query_in_the_address_filters(#[case] query: &str, #[case] told: &str) {
    let Some(mut page) = Page::open(&rendered("html", &fixture::run()), query) else { return };
    let said = page.evaluate("document.getElementById('told').textContent");
    assert!(said.as_str().unwrap().starts_with(told), "{said}");
    assert_eq!(said == "", told.is_empty());
    if let Some(shown) = told.strip_suffix(" of 12 claims") {
        let rows = page.evaluate("document.querySelectorAll('.area tbody tr:not([hidden])').length");
        assert_eq!(rows.to_string(), shown);
    }
    page.closes_quietly();
}

#[test]
fn hostile_text_runs_nothing_in_a_browser() {
    let hostile = Run::new(
        Host::default(),
        vec![fixture::because(
            "a::b",
            Verdict::Fail,
            &format!("{HOSTILE}<script>console.log('ran')</script>"),
        )],
        vec![],
    );
    let Some(mut page) = Page::open(&rendered("html", &hostile), "q=status:fail") else { return };
    assert_eq!(page.evaluate("document.getElementById('told').textContent"), "1 of 1 claims");
    page.closes_quietly();
}

#[test]
fn a_keyboard_is_enough() {
    let Some(mut page) = Page::open(&rendered("html", &fixture::run()), "") else { return };
    let focus = "document.activeElement.id || document.activeElement.textContent";
    let come_to = |page: &mut Page, wanted: &str| {
        let there = (0..200).any(|_| {
            page.press("Tab");
            let there = page.evaluate(focus);
            there == wanted || there.as_str().unwrap().contains(&format!(" {wanted}"))
        });
        assert!(there, "Tab never comes to {wanted}");
    };
    // Folding, by a summary that has the focus.
    let open = "[...document.querySelectorAll('#known details')].map((d) => d.open).join()";
    assert_eq!(page.evaluate(open), "false");
    come_to(&mut page, "KVM makes a second one");
    page.press("Enter");
    assert_eq!(page.evaluate(open), "true");
    // The query box: typed into, and emptied by Escape.
    come_to(&mut page, "q");
    page.type_in("status:fail");
    let told = "document.getElementById('told').textContent";
    assert_eq!(page.evaluate(told), "2 of 12 claims");
    assert_eq!(page.evaluate("location.hash"), "#q=status%3Afail");
    page.press("Escape");
    assert_eq!(page.evaluate(told), "");
    // A link of the matrix leads to the page of its claim.
    come_to(&mut page, "KVM_GET_REGS returns what KVM_SET_REGS stored");
    page.press("Enter");
    let shown = "document.getElementById(decodeURIComponent(location.hash.slice(1))).getBoundingClientRect().top < innerHeight";
    assert_eq!(page.evaluate(shown), true);
    page.closes_quietly();
}

#[rstest]
fn it_fits_a_phone(#[values(390, 1280)] width: u32) {
    let names: Vec<_> = (0..9).map(|minor| format!("6.{minor}.0-1-cloud-amd64")).collect();
    let run = coverage::recorded();
    let html = side_by_side(&names.iter().map(|name| (name.as_str(), &run)).collect::<Vec<_>>());
    let Some(mut page) = Page::open(&html, "") else { return };
    page.show(width, false);
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
    let fits = format!("document.documentElement.scrollWidth <= {width}");
    assert_eq!(page.evaluate(&fits), true, "something stands beyond the edge");
    let names = "[...document.querySelectorAll('.tried tbody th, .area tbody th')].map((e) => e.clientWidth)";
    let narrowest = page.evaluate(&format!("Math.min(...{names})")).as_f64();
    assert!(narrowest.is_some_and(|width| width > 100.0), "a row's name is squeezed: {narrowest:?}");
    page.closes_quietly();
}

#[test]
fn it_is_dark_where_the_screen_is() {
    let Some(mut page) = Page::open(&rendered("html", &fixture::run()), "") else { return };
    let mut brightness = |dark| {
        page.show(1280, dark);
        let colour = page.evaluate("getComputedStyle(document.body).backgroundColor");
        let numbers = colour.as_str().unwrap().split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse::<u32>().ok()).take(3).sum::<u32>()
    };
    assert!(brightness(false) > 600 && brightness(true) < 150);
    page.closes_quietly();
}

/// What a checker of accessibility finds, axe-core as `npm pack axe-core` brings it: `ASSAY_AXE` names its `axe.min.js`.
#[rstest]
fn an_accessibility_checker_finds_nothing_serious(
    #[values(false, true)] dark: bool,
    #[values("run", "matrix", "diff")] kind: &str,
) {
    let Some(axe) = std::env::var_os("ASSAY_AXE") else {
        eprintln!("not tried: ASSAY_AXE does not name an axe.min.js");
        return;
    };
    let (old, new) = (before(), coverage::recorded());
    let html = match kind {
        "run" => rendered("html", &fixture::run()),
        "matrix" => side_by_side(&[("6.1.0-1-cloud-amd64", &old), ("6.12.48-cloud-amd64", &new)]),
        _ => crate::changes::page(&old, &fixture::run()),
    };
    let Some(mut page) = Page::open(&html, "") else { return };
    page.show(1280, dark);
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
    page.evaluate(&std::fs::read_to_string(axe).unwrap());
    let violations = page.evaluate("axe.run().then((found) => found.violations)");
    let is_serious =
        |found: &&serde_json::Value| matches!(found["impact"].as_str(), Some("serious" | "critical"));
    let serious: Vec<_> = violations.as_array().unwrap().iter().filter(is_serious).collect();
    assert!(serious.is_empty(), "{serious:#?}");
    assert!(page.evaluate("axe.version").is_string());
}
