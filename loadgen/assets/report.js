// Shows the run that stands in this file.
"use strict";

View(document.getElementById("view")).update(JSON.parse(document.getElementById("data").textContent), true);
