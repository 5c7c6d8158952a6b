#pragma once

namespace sotto::report {

/// Style of the pages in light and dark: the colours of series are those of Okabe and Ito, which
/// readers with any colour vision can tell apart.
inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;--paper:#fbfbf9;--card:#fff;--ink:#1d2127;--muted:#5d6673;--rule:#dfe2e6;
--s0:#0072b2;--s1:#e69f00;--s2:#009e73;--alarm:#b3320a;--right:#00694d;--wrong:#b3320a;--shade:#0072b2;--on:#fff}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1c2026;--ink:#e7e9ec;--muted:#9aa4b1;--rule:#333a43;
--s0:#4aa3df;--s1:#e8ab2e;--s2:#1fb98d;--alarm:#ff8a5c;--right:#4fcfa4;--wrong:#ff8a5c;--shade:#4aa3df;--on:#0d1013}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;background:var(--paper);color:var(--ink);
margin:0 auto;max-width:1060px;padding:32px 24px 64px}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:19px;margin:0 0 4px}
p{margin:0 0 14px;color:var(--muted);max-width:110ch}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:20px 24px;margin-top:20px}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:12px;margin-top:24px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:14px 18px}
.tile .name{color:var(--muted);font-size:13px}
.tile .value{font-size:25px;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums}
.tile .note{color:var(--muted);font-size:13px}
.wide{overflow-x:auto}
svg.plot{display:block;width:100%;height:auto;min-width:540px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink);
font-variant-numeric:tabular-nums}
svg text.muted{fill:var(--muted)}svg text.on{fill:var(--on)}
.grid{stroke:var(--rule);stroke-width:1}.axis{stroke:var(--muted);stroke-width:1}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}
.area{fill-opacity:.45;shape-rendering:crispEdges}
.outline{fill:none;stroke:var(--s0);stroke-width:2}
.mark{stroke:var(--ink);stroke-width:2.5}
.line0{stroke:var(--alarm);stroke-width:2;stroke-dasharray:7 4}
.line1{stroke:var(--ink);stroke-width:2;stroke-dasharray:2 3}
.cell{fill:var(--shade);fill-opacity:0}
.q0{fill:var(--rule);fill-opacity:.35}.q1{fill-opacity:.12}.q2{fill-opacity:.2}.q3{fill-opacity:.3}.q4{fill-opacity:.4}
.q5{fill-opacity:.5}.q6{fill-opacity:.65}.q7{fill-opacity:.77}.q8{fill-opacity:.88}.q9{fill-opacity:1}
.box{fill:var(--card);stroke:var(--muted)}.chosen{fill:var(--s0);stroke:var(--ink)}
.zoom{stroke:var(--muted);stroke-dasharray:3 3}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{padding:5px 12px 5px 0;text-align:left;vertical-align:top;border-top:1px solid var(--rule)}
th{font-weight:600}
tr:first-child>*{border-top:0}
.packing{display:flex;flex-wrap:wrap;gap:16px 40px;align-items:flex-start}.packing svg.plot{flex:1 1 480px;width:auto;min-width:0}
.packing svg text{paint-order:stroke;stroke:var(--card);stroke-width:4px}
.facts th{color:var(--muted);font-weight:400;padding-right:28px;white-space:nowrap}
.layers{width:100%}.layers td:nth-child(n+3),.layers th:nth-child(n+3){text-align:right;white-space:nowrap}
.layers td:last-child,.layers th:last-child{padding-right:0}
.layers td:nth-child(2){overflow-wrap:anywhere;min-width:170px}
.layers thead th{position:sticky;top:0;background:var(--card)}
.layers tfoot td{border-top:2px solid var(--muted);font-weight:600}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:16px}
figure{margin:0;font-size:13px;line-height:1.35;overflow-wrap:anywhere}
figure img{width:96px;height:96px;object-fit:contain;image-rendering:pixelated;display:block;margin-bottom:4px;
border-radius:4px}
.right{color:var(--right)}.wrong{color:var(--wrong);font-weight:600}
footer{color:var(--muted);font-size:13px;margin-top:24px}
@media print{section,.tile{break-inside:avoid}}
)css";

/// What line plots and warnings need besides. Later lines are wider: they show under earlier ones.
inline constexpr const char* kLineStyle = R"css(
.curve0,.curve1,.curve2{fill:none;stroke-linejoin:round;stroke-linecap:round}
.curve0{stroke:var(--s0);stroke-width:2}
.curve1{stroke:var(--s1);stroke-width:7;stroke-opacity:.6}
.curve2{stroke:var(--s2);stroke-width:12;stroke-opacity:.4}
.void{fill:var(--alarm);fill-opacity:.12}
.hit{fill:none;pointer-events:all}.hit:hover{fill:var(--muted);fill-opacity:.14}
.warning{border:2px solid var(--alarm)}.warning h2{color:var(--alarm)}.warning p{color:var(--ink);margin:0}
)css";

}  // namespace sotto::report
