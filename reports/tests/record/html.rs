//! The page of HTML: whole without JavaScript, small, and harmless whatever stands in a record; and in a browser, where there is one,
//! its filters.

use std::process::{Command, Stdio};

use reports::{Entry, Host, Matrix, Run, Verdict};
use rstest::rstest;

use crate::coverage;
use crate::fixture::{self, HOSTILE};
use crate::formats::rendered;

/// The browser that opens the page, by the names that distributions give it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

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
    let Some(page) = in_browser(&rendered("html", &coverage::recorded()), "tried") else { return };
    let (_, tried) = page.split_once("<section id=\"tried\"").unwrap();
    assert_eq!(tried.split_once("</section>").unwrap().0.matches("<details").count(), 4 + 2);
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

/// The page as the browser has it in the end, with this query in the address; none where there is no browser.
fn in_browser(page: &str, query: &str) -> Option<String> {
    let is_there = |browser: &&&str| {
        Command::new(browser).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let Some(browser) = BROWSERS.iter().find(is_there) else {
        eprintln!("not tried: there is none of {BROWSERS:?} here");
        return None;
    };
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
        .arg(format!("file://{}#{query}", file.display()))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!complaints.contains(":CONSOLE"), "{complaints}");
    Some(String::from_utf8(output.stdout).unwrap())
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
#[case("matrix", "></output>")]
fn a_query_in_the_address_filters(#[case] query: &str, #[case] told: &str) {
    let Some(page) = in_browser(&rendered("html", &fixture::run()), query) else { return };
    let (_, output) = page.split_once("<output").unwrap();
    let output = output.split_inclusive("</output>").next().unwrap();
    assert!(output.contains(told), "{output}");
    if let Some(shown) = told.strip_suffix(" of 12 claims") {
        let hidden = page.matches("<tr hidden").count() + page.matches("<tr class=\"d\" hidden").count();
        assert_eq!((12 - hidden).to_string(), shown);
    }
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
    // What is said on the console is a complaint.
    in_browser(&rendered("html", &hostile), "q=status:fail");
}
