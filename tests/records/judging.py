"""Judge the objects of a report in a browser, with keys and buttons as a person would.

python judging.py REPORT DOWNLOADS

Writes what the page says after each step as JSON. A process of its own: the browser
wants to be there before Qt's application.
"""

import json
import sys
import time
from pathlib import Path

from PyQt6.QtCore import QPoint, Qt, QUrl
from PyQt6.QtTest import QTest
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication


class Browser:
    """A window with a page in it."""

    def __init__(self, downloads):
        # Named, or it would keep nothing in its local storage.
        self.profile = QWebEngineProfile("judging")
        self.profile.setPersistentStoragePath(str(downloads / "profile"))
        self.profile.setDownloadPath(str(downloads))
        self.saved = []
        self.profile.downloadRequested.connect(self._save)
        self.view = QWebEngineView()
        self.view.resize(900, 800)

    def open(self, page):
        """Load a page anew."""
        loaded = []
        self.view.setPage(Page(self.profile, self.view))
        self.view.loadFinished.connect(loaded.append)
        self.view.load(QUrl.fromLocalFile(str(page)))
        self.view.show()
        wait(lambda: loaded)
        assert loaded == [True]
        wait(lambda: self.view.focusProxy() is not None)
        self.view.setFocus()

    def ask(self, script):
        """Return the value of a script."""
        answers = []
        self.view.page().runJavaScript(script, answers.append)
        wait(lambda: answers)
        return answers[0]

    def press(self, keys):
        """Press keys, one after the other."""
        for key in keys:
            QTest.keyClick(self.view.focusProxy(), key)
            QTest.qWait(60)

    def click(self, name):
        """Click on the middle of what has a name."""
        self.ask(
            f"document.getElementById('{name}').scrollIntoView({{block:'center'}})"
        )
        QTest.qWait(200)
        box = f"document.getElementById('{name}').getBoundingClientRect()"
        at = [self.ask(f"{box}.{side}") for side in ("left", "top", "width", "height")]
        place = QPoint(round(at[0] + at[2] / 2), round(at[1] + at[3] / 2))
        target = self.view.focusProxy()
        QTest.mouseClick(target, LEFT, PLAIN, place)
        QTest.qWait(200)

    def _save(self, download):
        download.accept()
        download.isFinishedChanged.connect(
            lambda: self.saved.append(download.downloadFileName())
        )


class Page(QWebEnginePage):
    """A page whose questions are answered with yes."""

    def javaScriptConfirm(self, origin, text):
        return True


LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        QTest.qWait(20)


def main(report, downloads):
    app = QApplication(sys.argv[:1])
    browser = Browser(downloads)
    said = {}

    def note(step):
        said[step] = {
            "verdict": browser.ask("document.getElementById('verdict').textContent"),
            "at": browser.ask(
                "Array.from(document.querySelectorAll('#cards fieldset'))"
                ".indexOf(document.activeElement.closest('fieldset'))"
            ),
            "bare": browser.ask("document.querySelector('#audit').className"),
        }

    browser.open(report)
    note("opened")
    browser.click("begin")
    note("begun")
    browser.press("rrwcr")
    note("judged")
    browser.press("h")
    note("hidden")
    for name in ("json", "csv"):
        browser.click(name)
        wait(lambda name=name: f"answers.{name}" in browser.saved)
    browser.open(report)
    note("again")
    browser.click("begin")
    note("gone on")
    browser.click("forget")
    note("forgotten")
    print(json.dumps(said))
    browser.view.setPage(None)
    app.processEvents()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
