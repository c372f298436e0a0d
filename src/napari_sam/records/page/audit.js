"use strict";

// How many of those judged are right, as a range: Wilson's 95 % interval.
function wilson(right, judged) {
  var z = 1.959963984540054, share = right / judged, more = z * z / judged;
  var centre = (share + more / 2) / (1 + more);
  var half = z * Math.sqrt(share * (1 - share) / judged + more / (4 * judged)) / (1 + more);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

function counted(answers) {
  var of = { "right": 0, "wrong": 0, "cannot say": 0 };
  answers.forEach(function (answer) { if (answer in of) { of[answer] += 1; } });
  return of;
}

function verdict(answers) {
  var of = counted(answers), judged = of["right"] + of["wrong"];
  var done = judged + of["cannot say"];
  var text = done + " of " + answers.length + " looked at: " + of["right"] + " right, " +
    of["wrong"] + " wrong, " + of["cannot say"] + " cannot say.";
  if (!judged) { return text; }
  var range = wilson(of["right"], judged).map(percent);
  return text + " Precision " + percent(of["right"] / judged) + " % (95 % interval " +
    range[0] + " to " + range[1] + " %).";
}

function percent(share) { return (100 * share).toFixed(1); }

function asJson(about, answers) {
  var of = counted(answers), judged = of["right"] + of["wrong"];
  return JSON.stringify({
    folder: about.folder, version: about.version, seed: about.seed, drawn_from: about.of,
    right: of["right"], wrong: of["wrong"], cannot_say: of["cannot say"],
    precision: judged ? of["right"] / judged : null,
    interval_95: judged ? wilson(of["right"], judged) : null,
    objects: about.objects.map(function (object, i) {
      return Object.assign({}, object, { answer: answers[i] || null });
    })
  }, null, 1) + "\n";
}

function asCsv(about, answers) {
  var names = ["image", "t", "z", "id", "box_y0", "box_x0", "box_y1", "box_x1", "answer"];
  var rows = about.objects.map(function (object, i) {
    return [object.image, object.t, object.z, object.id].concat(object.box, answers[i]);
  });
  return [names].concat(rows).map(function (row) {
    return row.map(function (value) {
      var text = value === undefined || value === null ? "" : String(value);
      return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    }).join(",") + "\n";
  }).join("");
}

function start() {
  var about = JSON.parse(document.getElementById("objects").textContent);
  var cards = Array.from(document.querySelectorAll("#cards fieldset"));
  if (!cards.length) { return; }
  var section = document.getElementById("audit");
  var answers = remembered(about);

  function show() {
    document.getElementById("verdict").textContent = verdict(answers);
    cards.forEach(function (card, i) {
      card.querySelectorAll("input").forEach(function (input) {
        input.checked = input.value === answers[i];
      });
    });
  }

  function keep() {
    var said = "Answers stay in this browser; save them to keep them for good.";
    try { localStorage.setItem(about.key, JSON.stringify(answers)); }
    catch (error) { said = "This browser keeps no answers: save them before you leave."; }
    document.getElementById("kept").textContent = said;
    show();
  }

  function goOn(from) {
    for (var step = 0; step < cards.length; step += 1) {
      var i = (from + step) % cards.length;
      if (!answers[i]) {
        cards[i].querySelector("input").focus();
        cards[i].scrollIntoView({ block: "nearest" });
        return;
      }
    }
    document.getElementById("json").focus();
  }

  function bare() {
    var hidden = section.classList.toggle("bare");
    document.getElementById("bare").setAttribute("aria-pressed", String(hidden));
  }

  function clicked(id, what) { document.getElementById(id).addEventListener("click", what); }

  cards.forEach(function (card, i) {
    card.addEventListener("change", function (event) {
      answers[i] = event.target.value;
      keep();
    });
  });
  section.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    var key = event.key.toLowerCase();
    var answer = { r: "right", w: "wrong", c: "cannot say" }[key];
    var at = cards.indexOf(event.target.closest("fieldset"));
    if (key === "h") { bare(); event.preventDefault(); }
    if (answer && at >= 0) {
      answers[at] = answer;
      keep();
      goOn(at);
      event.preventDefault();
    }
  });
  clicked("begin", function () { goOn(0); });
  clicked("bare", bare);
  clicked("json", function () { save("json", "application/json", asJson(about, answers)); });
  clicked("csv", function () { save("csv", "text/csv", asCsv(about, answers)); });
  clicked("forget", function () {
    if (confirm("Forget all answers?")) {
      answers.fill("");
      keep();
    }
  });
  document.getElementById("judging").hidden = false;
  show();
}

function remembered(about) {
  var kept = null;
  try { kept = JSON.parse(localStorage.getItem(about.key)); } catch (error) { kept = null; }
  return about.objects.map(function (object, i) { return kept && kept[i] ? kept[i] : ""; });
}

function save(suffix, kind, text) {
  var link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = "answers." + suffix;
  link.click();
  URL.revokeObjectURL(link.href);
}

if (typeof document !== "undefined") { start(); }
