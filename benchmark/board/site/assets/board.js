// The page of a board: its table (DataTables) and its chart (plotly).
"use strict";
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const DATA_SET = 1, RANK = 2;

  // The table. Order within a data set only: scores of two data sets answer different questions.
  window.dataTables.then(({ default: DataTable }) => {
    const board = document.getElementById("board"), form = document.getElementById("filters");
    const heads = [...board.querySelectorAll("thead th")], names = heads.map((each) => each.textContent.trim());
    const table = new DataTable(board, {
      paging: false, autoWidth: false, info: false,
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      orderFixed: { pre: [[DATA_SET, "asc"]] },
      order: [[RANK, "asc"]],
      columnDefs: [{ targets: DATA_SET, orderable: false }],
    });
    const selects = [...form.querySelectorAll("[data-filter]")];
    const front = document.getElementById("front"), search = document.getElementById("search");
    table.search.fixed("filters", (_text, _data, index) => {
      const row = table.row(index).node().dataset;
      return selects.every((each) => !each.value || row[each.dataset.filter] === each.value) &&
        (!front.checked || row.front !== "0");
    });
    function refresh() {
      table.search(search.value).draw();
      const { recordsDisplay, recordsTotal } = table.page.info();
      document.getElementById("shown").textContent = `${recordsDisplay} of ${recordsTotal} rows`;
    }

    // Which columns: those that the reader chose, otherwise those that a window of this width has room for.
    const chooser = document.querySelector("#columns div");
    const boxes = names.map((name, column) => {
      const label = document.createElement("label"), box = document.createElement("input");
      label.className = "check";
      box.type = "checkbox";
      box.addEventListener("change", () => keep(names.filter((_, each) => boxes[each].checked)));
      label.append(box, name);
      if (column) chooser.append(label); // without names of its rows a table is none
      return box;
    });
    const reset = document.createElement("button");
    reset.type = "button";
    reset.textContent = "As at first";
    reset.addEventListener("click", () => keep(null));
    chooser.append(reset);

    function chosen() {
      try { return JSON.parse(localStorage.getItem("ferbench-columns")); } catch { return null; } // may be forbidden
    }
    let columns = chosen();
    function keep(found) {
      columns = found;
      try { localStorage.setItem("ferbench-columns", JSON.stringify(found)); } catch { /* it holds for this page only */ }
      show();
    }
    function show() {
      names.forEach((name, column) => {
        const from = heads[column].dataset.from;
        boxes[column].checked = !column || (columns ? columns.includes(name) : from !== undefined && innerWidth >= Number(from));
        table.column(column).visible(boxes[column].checked, false);
      });
      headings();
    }

    // A heading above the rows of each data set.
    function headings() {
      for (const each of board.querySelectorAll("tr.dataset")) each.remove();
      let above = null;
      for (const row of [...board.tBodies[0].rows]) {
        const name = row.dataset.dataset;
        if (name && name !== above) {
          const line = document.createElement("tr"), cell = document.createElement("th"), text = document.createElement("span");
          line.className = "dataset";
          cell.scope = "rowgroup";
          cell.colSpan = row.cells.length;
          text.textContent = name;
          cell.append(text);
          line.append(cell);
          row.before(line);
          above = name;
        }
      }
    }

    // DataTables tells the first column of an order only, and here that is always the data set.
    table.on("draw", () => {
      headings();
      for (const each of board.querySelectorAll("thead th")) each.removeAttribute("aria-sort");
      for (const [column, direction] of table.order()) {
        table.column(column).header().setAttribute("aria-sort", direction === "asc" ? "ascending" : "descending");
      }
    });
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const each of [...selects, front]) each.addEventListener("change", refresh);
    search.addEventListener("input", refresh);
    addEventListener("resize", () => columns || show());
    show();
    refresh();
    board.dataset.ready = "yes";
  });

  // The chart. Plotly takes text for markup, so what comes from a record is escaped.
  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const RADIUS = 5; // of a mark, in pixels
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const COSTS = {
    params: { unit: 1e6, name: "parameters (millions)" },
    macs: { unit: 1e9, name: "multiply-adds of one input (billions)" },
    latency_ms_p50: { unit: 1, name: "latency at batch 1 (ms, median)" },
  };

  function layout() {
    const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: css("--ink"), family: "inherit", size: 13 },
      margin: { l: 50, r: 12, t: 12, b: 48 }, xaxis: { ...axis }, yaxis: { ...axis }, hoverlabel: { align: "left" },
    };
  }

  const tables = document.getElementById("pareto-table"), costs = document.getElementById("pareto-cost");

  // One choice a cost; of latency one for each hardware, for two must not be compared.
  function choices(shown) {
    const found = [];
    for (const [cost, { name }] of Object.entries(COSTS)) {
      const points = shown.points.filter((point) => point[cost]);
      if (cost !== "latency_ms_p50") {
        if (points.length) found.push({ cost, label: name, hardware: null });
        continue;
      }
      const machines = [...new Set(points.map((point) => point.hardware))].sort();
      for (const hardware of machines) found.push({ cost, hardware, label: `${name}, ${hardware}` });
    }
    return found;
  }

  // Ticks of a logarithmic axis at plain numbers: at 1, 2, 5 of each power of ten, at 1 alone over many of them.
  function ticks(low, high) {
    const found = [];
    const marks = high / low > 2000 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const mark of marks) found.push(Number(`${mark}e${power}`));
    }
    return found.filter((value) => value >= low && value <= high);
  }

  function fill(select, labels) {
    const before = select.selectedIndex;
    select.replaceChildren(...labels.map((label, index) => new Option(label, index)));
    select.selectedIndex = Math.min(Math.max(before, 0), labels.length - 1);
  }

  function pareto() {
    const shown = charts[tables.selectedIndex];
    const found = choices(shown);
    fill(costs, found.map((each) => each.label));
    if (!found.length) return;
    const { cost, hardware } = found[costs.selectedIndex];
    const points = shown.points
      .filter((point) => point[cost] && (hardware === null || point.hardware === hardware))
      .map((point) => ({ ...point, x: point[cost] / COSTS[cost].unit, best: point.front.includes(cost) }))
      .sort((a, b) => a.x - b.x);
    const trace = (best) => {
      const own = points.filter((point) => point.best === best);
      return {
        type: "scatter", mode: "markers", name: best ? "on the front" : "undercut",
        x: own.map((p) => p.x), y: own.map((p) => p.score), customdata: own.map((p) => p.link),
        error_y: {
          type: "data", symmetric: false, array: own.map((p) => p.high - p.score),
          arrayminus: own.map((p) => p.score - p.low), thickness: 1.2, width: 0, color: css(best ? "--accent" : "--quiet"),
        },
        marker: { size: 2 * RADIUS, color: css(best ? "--accent" : "--page"), line: { width: 1.5, color: css(best ? "--accent" : "--quiet") } },
        hovertext: own.map((p) => `<b>${escaped(p.title)}</b> (${p.number})<br>${shown.measure} ${p.said}<br>` +
          `${COSTS[cost].name}: ${p.costs[cost]}`),
        hoverinfo: "text",
      };
    };
    const best = points.filter((point) => point.best);
    const low = points[0].x / 1.3, high = points[points.length - 1].x * 1.3;
    const values = ticks(low, high);
    const step = {
      type: "scatter", mode: "lines", x: best.map((p) => p.x), y: best.map((p) => p.score), hoverinfo: "skip",
      line: { shape: "hv", color: css("--accent"), width: 1.5, dash: "dot" }, showlegend: false,
    };
    const base = layout(), lowest = shown.measure === "CCC" ? Math.min(-0.2, ...points.map((p) => p.low)) : 0;
    const chart = document.getElementById("pareto-chart"), height = 460, { l, r, t, b } = base.margin;
    const frame = { width: chart.clientWidth - l - r, height: height - t - b };
    const down = (score) => ((1.04 - score) / (1.04 - lowest)) * frame.height;
    const at = points.map((p) => ({
      x: (Math.log(p.x / low) / Math.log(high / low)) * frame.width, y: down(p.score), low: down(p.low), high: down(p.high),
      width: 7 * String(p.number).length + 2, height: 12,
    }));
    const floors = shown.references.filter((each) => each.floor).map((each) => each.score);
    Plotly.react(chart, [step, trace(false), trace(true)], {
      ...base, height, showlegend: false, hovermode: "closest",
      xaxis: { ...base.xaxis, automargin: false, type: "log", title: { text: COSTS[cost].name }, range: [Math.log10(low), Math.log10(high)], tickvals: values, ticktext: values.map(String) },
      yaxis: { ...base.yaxis, automargin: false, title: { text: shown.measure }, range: [lowest, 1.04] },
      shapes: shown.references.map((each) => ({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: each.score, y1: each.score, line: { dash: "dash", width: 1, color: css("--quiet") },
      })),
      annotations: beside(at, frame).map((to, index) => ({
        x: Math.log10(points[index].x), y: points[index].score, text: String(points[index].number),
        font: { size: 11, color: css(points[index].best ? "--accent" : "--ink") }, borderpad: 0,
        ...(to.touches
          ? { showarrow: false, xshift: to.x, yshift: -to.y }
          : { showarrow: true, ax: to.x, ay: to.y, arrowhead: 0, arrowwidth: 0.7, arrowcolor: css("--quiet"), standoff: RADIUS }),
      })).concat(shown.references.map((each) => {
        const below = each.floor && each.score === Math.min(...floors) && floors.length > 1;
        return {
          xref: "paper", x: 1, xanchor: "right", y: each.score, yanchor: below ? "top" : "bottom",
          text: escaped(each.title), showarrow: false, font: { size: 11, color: css("--soft") },
        };
      })),
    }, config);
    key(points);
  }

  // Where the number of each point goes, in pixels from it: off every mark and every other number, rather not on an
  // interval, as near as there is room. points: place and interval of each, and width and height of its number.
  function beside(points, frame) {
    const over = (a, b) => Math.abs(a.x - b.x) < (a.width + b.width) / 2 && Math.abs(a.y - b.y) < (a.height + b.height) / 2;
    const marks = points.map(({ x, y }) => ({ x, y, width: 2 * RADIUS + 2, height: 2 * RADIUS + 2 }));
    const bars = points.map(({ x, low, high }) => ({ x, y: (low + high) / 2, width: 0, height: low - high }));
    const crowd = points.map((p) => points.filter((q) => Math.hypot(p.x - q.x, p.y - q.y) < 30).length);
    const placed = points.map(() => null);
    for (const index of points.map((_, each) => each).sort((a, b) => crowd[b] - crowd[a] || a - b)) {
      const point = points[index];
      let least = Infinity;
      for (const gap of [3, 9, 17, 27, 40, 56, 76]) {
        for (const side of [0, 8, 1, 15, 7, 9, 2, 14, 6, 10, 3, 13, 5, 11]) {
          const angle = (side * Math.PI) / 8;
          const x = Math.cos(angle) * (RADIUS + gap + point.width / 2), y = Math.sin(angle) * (RADIUS + gap + point.height / 2);
          const box = { x: point.x + x, y: point.y + y, width: point.width, height: point.height };
          const outside = box.x < box.width / 2 || box.y < box.height / 2 || box.x > frame.width - box.width / 2 || box.y > frame.height - box.height / 2;
          const hidden = (boxes) => boxes.filter((each) => over(box, each)).length;
          const others = placed.filter((each, other) => each && other !== index).map((each) => each.box);
          const cost = gap + 1000 * outside + 100 * (hidden(marks) + hidden(others)) + 12 * hidden(bars);
          if (cost < least) {
            least = cost;
            placed[index] = { x, y, box, touches: gap === 3 };
          }
        }
      }
    }
    return placed;
  }

  // Which number is which architecture, as links, for a click on a point is not for everybody.
  function key(points) {
    const items = [...points].sort((a, b) => a.number - b.number).map((point) => {
      const item = document.createElement("li"), link = document.createElement("a");
      item.append(`${point.number} `, link);
      link.href = point.link;
      link.textContent = point.title;
      item.classList.toggle("best", point.best);
      return item;
    });
    document.getElementById("pareto-key").replaceChildren(...items);
  }

  function draw() {
    if (tables.options.length) pareto();
  }

  fill(tables, charts.map((each) => each.name));
  document.getElementById("pareto-choice").hidden = false;
  for (const each of [tables, costs]) each.addEventListener("change", pareto);
  draw();
  document.getElementById("pareto-chart").on?.("plotly_click", ({ points }) => {
    if (points[0].customdata) location.href = points[0].customdata;
  });
  document.addEventListener("themechange", draw);
  addEventListener("resize", draw); // numbers go elsewhere where there is more or less room
})();
