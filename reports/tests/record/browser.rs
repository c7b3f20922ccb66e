//! A browser without a window that opens a page from disk, driven by its debugging protocol over a pair of pipes: what a person sees of
//! a page, does with its keyboard, and hears it complain of.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// The browser that opens pages, by the names that distributions give it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Chromium reads its orders from descriptor 3 and answers on 4: a shell lays standard input and output there.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null 2>&1";
/// What a key of the keyboard is called, its number, and the text that it types.
const KEYS: [(&str, u32, &str); 3] = [("Tab", 9, ""), ("Enter", 13, "\r"), ("Escape", 27, "")];
/// A browser that says nothing for so long is hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// A page that is open.
pub(crate) struct Page {
    browser: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    session: Value,
    sent: u64,
    /// What the page did on its own account.
    events: Vec<Value>,
    _home: TempDir,
}

impl Page {
    /// Opens this page, with this behind the `#` of its address; none where there is no browser.
    pub(crate) fn open(html: &str, behind: &str) -> Option<Self> {
        let is_there = |browser: &&&str| {
            Command::new(browser)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
        };
        let Some(browser) = BROWSERS.iter().find(is_there) else {
            eprintln!("not tried: there is none of {BROWSERS:?} here");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("page.html");
        std::fs::write(&file, html).unwrap();
        let mut browser = Command::new("sh")
            .args(["-c", PIPES, browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = browser.stdin.take().unwrap();
        let answers = heard(browser.stdout.take().unwrap());
        let (session, sent, events) = (Value::Null, 0, Vec::new());
        let mut page = Self { browser, orders, answers, session, sent, events, _home: home };
        let target = page.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
        let attached = page.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        page.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({}));
        }
        page.events.clear();
        let opened =
            page.ask("Page.navigate", json!({ "url": format!("file://{}#{behind}", file.display()) }));
        assert!(opened["errorText"].is_null(), "{opened}");
        page.wait_for("Page.loadEventFired");
        Some(page)
    }

    /// What an expression of JavaScript is in the page, once it is settled.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let mut answer = self.ask("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Presses a key of the keyboard.
    pub(crate) fn press(&mut self, key: &str) {
        let (_, number, text) = KEYS.into_iter().find(|(name, ..)| *name == key).unwrap();
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            self.ask(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number, "text": text }),
            );
        }
    }

    /// Types a text where the page's focus is.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Shows the page as wide as this, and on a screen that is dark or light.
    pub(crate) fn show(&mut self, width: u32, dark: bool) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Nothing was said on the console, nothing went wrong, and nothing but the page itself was fetched.
    pub(crate) fn closes_quietly(self) {
        let of =
            |method: &str| self.events.iter().filter(|event| event["method"] == method).collect::<Vec<_>>();
        for complaint in ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"] {
            assert!(of(complaint).is_empty(), "{:?}", of(complaint));
        }
        assert_eq!(of("Network.requestWillBeSent").len(), 1, "{:?}", of("Network.requestWillBeSent"));
    }

    /// Sends an order, and waits for its answer.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut order = json!({ "id": self.sent, "method": method, "params": parameters });
        if !self.session.is_null() {
            order["sessionId"] = self.session.clone();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let mut said = self.hear();
            if said["id"] == self.sent {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].take();
            }
            self.events.push(said);
        }
    }

    fn wait_for(&mut self, event: &str) {
        while !self.events.iter().any(|said| said["method"] == event) {
            let said = self.hear();
            self.events.push(said);
        }
    }

    fn hear(&mut self) -> Value {
        let said = self.answers.recv_timeout(PATIENCE).unwrap();
        assert_ne!(said["method"], "Page.javascriptDialogOpening", "{said}");
        said
    }
}

/// What the browser says, message by message, each ended by a zero.
fn heard(pipe: ChildStdout) -> Receiver<Value> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let messages = BufReader::new(pipe).split(0).map_while(Result::ok);
        // Who does not listen any more has seen enough.
        let _ =
            messages.map(|said| serde_json::from_slice(&said).unwrap()).try_for_each(|said| tell.send(said));
    });
    told
}

impl Drop for Page {
    fn drop(&mut self) {
        // One that is gone already is no loss.
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
