// Colours of text have a contrast of at least 4.5 to their ground and those of marks one of 3, in light and in dark.
#include "report/plot_style.h"

namespace rafter::report {

std::string plot_style() {
    return R"css(
:root { --paper:#fbfaf6; --ink:#1d1b26; --soft:#5f5c6b; --line:#dcd8cc; --card:#ffffff; --roof:#1d1b26; --memory:#2f6fe0; --compute:#d9730d;
  --s1:#2f86d6; --s2:#1f62c9; --s3:#3d3fc4; --s4:#6a2fc0; --s5:#8a1fa8; --prefill:#b4560a; --ladder:#08755a; --bad:#b3261e; --f0:#b3261e; --f1:#1f62c9; --f2:#08755a; --f3:#6a2fc0; }
@media (prefers-color-scheme: dark) { :root { --paper:#0f1117; --ink:#eceaf4; --soft:#a6a4b5; --line:#2a2f3c; --card:#171a24; --roof:#f3f1fa;
  --memory:#5b9bff; --compute:#ffab4d; --s1:#b7d8ff; --s2:#6fb0ff; --s3:#8f9bff; --s4:#b08fff; --s5:#e57dff; --prefill:#ffb454; --ladder:#45dcae;
  --bad:#ff8a80; --f0:#ff8a80; --f1:#6fb0ff; --f2:#45dcae; --f3:#b08fff; } }
@media print { :root { --paper:#fff; --ink:#000; --soft:#444; --line:#ccc; --card:#fff; --roof:#000; } }
.plot text { font-family: Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-size:15px; fill:var(--ink); paint-order:stroke; stroke:var(--ground, var(--paper)); stroke-width:4px; stroke-linejoin:round; }
.plot .tick, .plot .axis, .plot .note, .plot .legend { fill:var(--soft); } .plot .tick { font-variant-numeric:tabular-nums; }
.plot .head { font-weight:650; } .plot .doubt { fill:var(--bad); font-weight:600; } .plot .legend { fill:var(--ink); }
.plot .middle { text-anchor:middle; } .plot .end { text-anchor:end; }
.plot .grid { stroke:var(--line); stroke-width:1; }
.plot .ridge { stroke:var(--soft); stroke-width:1.2; stroke-dasharray:3 5; }
.plot .region-memory { fill:var(--memory); opacity:.07; } .plot .region-compute { fill:var(--compute); opacity:.08; }
.plot .roof { fill:none; stroke:var(--roof); stroke-width:3; stroke-linejoin:round; }
.plot .roof.other { stroke-width:1.4; stroke-dasharray:7 5; opacity:.6; }
.plot .roof-name { font-weight:600; } .plot .roof-name.other { font-weight:400; fill:var(--soft); }
.plot .dot { stroke:var(--ground, var(--paper)); stroke-width:1.4; fill-opacity:.82; cursor:pointer; outline:none; transition:opacity .15s; }
.plot .dot:hover, .plot .dot:focus { stroke:var(--ink); stroke-width:3; fill-opacity:1; }
.s1 { fill:var(--s1); } .s2 { fill:var(--s2); } .s3 { fill:var(--s3); } .s4 { fill:var(--s4); } .s5 { fill:var(--s5); } .prefill { fill:var(--prefill); }
.plot .f0 { fill:var(--f0); } .plot .f1 { fill:var(--f1); } .plot .f2 { fill:var(--f2); } .plot .f3 { fill:var(--f3); }
.plot .stair { fill:none; stroke-width:2.6; stroke-linejoin:round; } .plot .stair.best { stroke-width:1.4; stroke-dasharray:2 4; }
.plot .l0 { stroke:var(--f0); } .plot .l1 { stroke:var(--f1); } .plot .l2 { stroke:var(--f2); } .plot .l3 { stroke:var(--f3); }
.plot .ladder { fill:none; stroke:var(--ladder); stroke-width:2.4; stroke-dasharray:1 6; stroke-linecap:round; }
.plot .ladder-stem { stroke:var(--ladder); stroke-width:1.4; } .plot .ladder-foot { fill:var(--ground, var(--paper)); stroke:var(--ladder); stroke-width:2.4; }
.plot .ladder-stop { fill:var(--ladder); stroke:var(--ground, var(--paper)); stroke-width:2; }
.plot .ladder-digit { text-anchor:middle; font-weight:700; fill:var(--ground, var(--paper)); stroke:none; }
.plot .ladder-text { fill:var(--soft); } .plot .ladder-rate { font-weight:650; }
.plot .climb { fill:none; stroke:var(--ladder); stroke-width:2.2; stroke-linejoin:round; } .plot .climb.aside { stroke-width:1.6; stroke-dasharray:2 5; stroke-linecap:round; }
.plot .climb-stem { stroke:var(--ladder); stroke-width:1.2; opacity:.7; } .plot .climb-foot, .plot .climb-from { fill:var(--ladder); stroke:var(--ground, var(--paper)); stroke-width:1.4; } .plot .climb-foot.aside { fill:var(--ground, var(--paper)); stroke:var(--ladder); stroke-width:2; }
.plot .climb-stop, .plot .climb-key { fill:var(--ladder); stroke:var(--ground, var(--paper)); stroke-width:2; } .plot .climb-stop { cursor:pointer; outline:none; } .plot .climb-stop.aside, .plot .climb-key.aside { fill:var(--ground, var(--paper)); stroke:var(--ladder); }
.plot .climb-stop:hover, .plot .climb-stop:focus { stroke:var(--ink); stroke-width:3; }
.plot .climb-digit { font-weight:700; fill:var(--ground, var(--paper)); stroke:none; pointer-events:none; } .plot .climb-digit.aside { fill:var(--ladder); } .plot .climb-rate { font-weight:650; font-variant-numeric:tabular-nums; }
.plot .grid.fine { opacity:.55; } .plot .waterfall-step { stroke:var(--soft); stroke-width:1.2; stroke-dasharray:2 3; } .plot .waterfall-tick { stroke:var(--ink); stroke-width:3; stroke-linecap:round; }
.plot .waterfall-bar { fill:var(--ladder); stroke:none; cursor:pointer; outline:none; } .plot .waterfall-bar.aside { fill:var(--s2); } .plot .waterfall-bar.loss { fill:var(--bad); } .plot .waterfall-bar.start { fill:var(--soft); }
.plot .waterfall-bar.predicted { fill-opacity:.28; stroke:var(--ladder); stroke-width:1.6; stroke-dasharray:4 3; } .plot .waterfall-bar.predicted.aside { stroke:var(--s2); } .plot .waterfall-bar.predicted.loss { stroke:var(--bad); } .plot .waterfall-bar.predicted.start { stroke:var(--soft); }
.plot .waterfall-bar:hover, .plot .waterfall-bar:focus { stroke:var(--ink); stroke-width:3; stroke-dasharray:none; } .plot .waterfall-gain { font-weight:650; } .plot .waterfall-gain, .plot .waterfall text { font-variant-numeric:tabular-nums; }
.plot .curve { fill:none; stroke-width:2.6; stroke-linejoin:round; } .plot .curve.a { stroke:var(--s3); } .plot .curve.b { stroke:var(--prefill); }
.plot text.a { fill:var(--s3); } .plot text.b { fill:var(--prefill); }
.plot .mark { stroke:var(--ground, var(--paper)); stroke-width:1.4; outline:none; } .plot .mark.a { fill:var(--s3); } .plot .mark.b { fill:var(--prefill); } .plot .mark.out { fill:var(--ground, var(--paper)); stroke:var(--bad); stroke-width:2; }
.plot .mark:focus, .plot .mark:hover { stroke:var(--ink); stroke-width:3; }
.plot .here { stroke:var(--ladder); stroke-width:1.6; stroke-dasharray:4 4; } .plot .here-name { fill:var(--ladder); }
.plot .wall { fill:var(--bad); opacity:.07; } .plot .wall-name { fill:var(--bad); }
)css";
}

}  // namespace rafter::report
