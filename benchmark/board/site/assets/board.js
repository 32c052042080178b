// The page of a board: its table (DataTables) and its charts (plotly).
"use strict";
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const DATA_SET = 1, RANK = 2;

  // The table. Order within a data set only: scores of two data sets answer different questions.
  window.dataTables.then(({ default: DataTable }) => {
    const form = document.getElementById("filters");
    const table = new DataTable("#board", {
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
    // DataTables tells the first column of an order only, and here that is always the data set.
    table.on("draw", () => {
      for (const each of document.querySelectorAll("#board thead th")) each.removeAttribute("aria-sort");
      for (const [column, direction] of table.order()) {
        table.column(column).header().setAttribute("aria-sort", direction === "asc" ? "ascending" : "descending");
      }
    });
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const each of [...selects, front]) each.addEventListener("change", refresh);
    search.addEventListener("input", refresh);
    refresh();
    document.getElementById("board").dataset.ready = "yes";
  });

  // The charts. Plotly takes text for markup, so what comes from a record is escaped.
  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const SHADES = [[0, "#f2f7fc"], [0.5, "#6aa9d6"], [1, "#08306b"]]; // light to dark, for any eye
  const LIGHT_INK = 0.62; // above this score white can be read better than dark
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
    const shown = charts.pareto[tables.selectedIndex];
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
        type: "scatter", mode: "markers+text", name: best ? "on the front" : "undercut",
        x: own.map((p) => p.x), y: own.map((p) => p.score), customdata: own.map((p) => p.link),
        text: own.map((p) => String(p.number)), textposition: "middle center",
        textfont: { size: 11, color: css(best ? "--page" : "--ink") },
        error_y: {
          type: "data", symmetric: false, array: own.map((p) => p.high - p.score),
          arrayminus: own.map((p) => p.score - p.low), thickness: 1.5, width: 0, color: css(best ? "--accent" : "--quiet"),
        },
        marker: { size: 20, color: css(best ? "--accent" : "--page"), line: { width: 2, color: css(best ? "--accent" : "--quiet") } },
        hovertext: own.map((p) => `<b>${escaped(p.title)}</b> (${p.number})<br>${shown.measure} ${p.score.toFixed(3)} ` +
          `[${p.low.toFixed(3)}, ${p.high.toFixed(3)}]<br>${COSTS[cost].name}: ${p.x.toPrecision(3)}`),
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
    const base = layout();
    Plotly.react("pareto-chart", [step, trace(false), trace(true)], {
      ...base, height: 460, showlegend: false, hovermode: "closest",
      xaxis: { ...base.xaxis, type: "log", title: { text: COSTS[cost].name }, range: [Math.log10(low), Math.log10(high)], tickvals: values, ticktext: values.map(String) },
      yaxis: { ...base.yaxis, title: { text: shown.measure }, range: [shown.measure === "CCC" ? -0.2 : 0, 1.04] },
      shapes: shown.references.map((each) => ({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: each.score, y1: each.score, line: { dash: "dash", width: 1, color: css("--quiet") },
      })),
      annotations: shown.references.map((each, index) => ({
        xref: "paper", x: index % 2 ? 1 : 0, xanchor: index % 2 ? "right" : "left", y: each.score, yanchor: "bottom",
        text: escaped(each.title), showarrow: false, font: { size: 11, color: css("--soft") },
      })),
    }, config);
    key(points);
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

  function heat() {
    const { rows, columns, scores } = charts.heat;
    const fields = scores.flatMap((row, y) => row.map((value, x) => ({ x, y, value }))).filter(({ value }) => value !== null);
    const chart = document.getElementById("heat-chart");
    chart.style.minWidth = `${Math.max(300, 220 + 80 * columns.length)}px`;
    const base = layout();
    Plotly.react(chart, [{
      type: "heatmap", z: scores, zmin: 0, zmax: 1, colorscale: SHADES, xgap: 2, ygap: 2, hoverongaps: false,
      x: columns.map((_, i) => i), y: rows.map((_, i) => i),
      hovertext: scores.map((row, i) => row.map((value, j) =>
        `${escaped(rows[i])}<br>${escaped(columns[j])}: ${value === null ? "no score" : value.toFixed(3)}`)),
      hoverinfo: "text", colorbar: { thickness: 10, outlinewidth: 0 },
    }, {
      type: "scatter", mode: "text", hoverinfo: "skip", x: fields.map((each) => each.x), y: fields.map((each) => each.y),
      text: fields.map((each) => each.value.toFixed(3)),
      textfont: { size: 12, color: fields.map((each) => each.value > LIGHT_INK ? "#ffffff" : "#0b1a2a") },
    }], {
      ...base, margin: { ...base.margin, b: 12 }, height: 36 * rows.length + 90,
      xaxis: { ...base.xaxis, showgrid: false, zeroline: false, tickvals: columns.map((_, i) => i), ticktext: columns.map(escaped), side: "top" },
      yaxis: { ...base.yaxis, showgrid: false, zeroline: false, autorange: "reversed", tickvals: rows.map((_, i) => i), ticktext: rows.map(escaped) },
    }, config);
  }

  function draw() {
    if (tables.options.length) pareto();
    if (document.getElementById("heat-chart")) heat();
  }

  fill(tables, charts.pareto.map((each) => each.name));
  document.getElementById("pareto-choice").hidden = false;
  for (const each of [tables, costs]) each.addEventListener("change", pareto);
  draw();
  document.getElementById("pareto-chart").on?.("plotly_click", ({ points }) => {
    if (points[0].customdata) location.href = points[0].customdata;
  });
  document.getElementById("heat-chart")?.on("plotly_click", ({ points }) => {
    const link = charts.heat.links[points[0].y][points[0].x];
    if (link) location.href = link;
  });
  document.addEventListener("themechange", draw);
})();
