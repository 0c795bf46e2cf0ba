// The page's style and its one script: a panel with the numbers of the dot under the pointer or the keyboard's focus.
#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/plot_style.h"
#include "report/svg.h"

namespace rafter::report {
namespace {

constexpr const char* kStyle = R"css(
* { box-sizing:border-box; } html { color-scheme: light dark; -webkit-text-size-adjust:100%; text-size-adjust:100%; }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.5 Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width:1200px; margin:0 auto; padding:44px 32px 72px; }
h1 { font-size:34px; line-height:1.15; letter-spacing:-.02em; margin:0 0 6px; font-weight:680; text-wrap:balance; overflow-wrap:anywhere; }
h2 { font-size:21px; letter-spacing:-.01em; margin:44px 0 4px; font-weight:650; }
h2 + .bars, h2 + .tables, h2 + ul { margin-top:14px; }
.sub { color:var(--soft); margin:0 0 26px; overflow-wrap:anywhere; }
.doubt { color:var(--bad); font-weight:600; margin:0 0 12px; max-width:76ch; overflow-wrap:anywhere; }
.lead { color:var(--soft); margin:0 0 14px; max-width:76ch; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(172px,1fr)); gap:14px; margin:0 0 30px; }
.card { background:var(--card); border:1px solid var(--line); border-radius:14px; padding:15px 18px; }
.card .label { color:var(--soft); font-size:14px; } .card .value { font-size:27px; line-height:1.25; font-weight:680; letter-spacing:-.02em; font-variant-numeric:tabular-nums; overflow-wrap:anywhere; }
.card .note { color:var(--soft); font-size:14px; line-height:1.4; overflow-wrap:anywhere; } .card.bad .value { color:var(--bad); }
figure { --ground:var(--card); margin:0; background:var(--card); border:1px solid var(--line); border-radius:16px; padding:14px 12px 6px; }
figure svg { width:100%; height:auto; display:block; } figure svg.narrow { display:none; }
.legend { display:flex; flex-wrap:wrap; gap:8px; padding:2px 10px 8px; }
.legend button { font:inherit; font-size:14px; color:var(--ink); background:none; border:1px solid var(--line); border-radius:999px; padding:4px 13px 4px 10px; cursor:pointer; display:flex; align-items:center; gap:8px; }
.legend button:focus-visible, .dot:focus-visible { outline:2px solid var(--ladder); outline-offset:2px; }
.legend button[aria-pressed=false] { opacity:.5; } .legend i { width:12px; height:12px; border-radius:50%; display:inline-block; background:currentColor; }
.legend .s1 i { background:var(--s1); } .legend .s2 i { background:var(--s2); } .legend .s3 i { background:var(--s3); } .legend .s4 i { background:var(--s4); }
.legend .s5 i { background:var(--s5); } .legend .prefill i { background:var(--prefill); }
.legend .a i { background:var(--s3); } .legend .b i { background:var(--prefill); }
#tip { position:fixed; z-index:5; pointer-events:none; max-width:min(340px, calc(100vw - 16px)); background:var(--ink); color:var(--paper); border-radius:10px; padding:9px 13px; font-size:14px; line-height:1.42; white-space:pre-line; opacity:0; transition:opacity .12s; font-variant-numeric:tabular-nums; left:0; top:0; }
#tip b { display:block; } #tip.on { opacity:1; }
.bars { display:grid; grid-template-columns:minmax(170px,max-content) 1fr max-content; gap:7px 16px; align-items:center; }
.bars .row { display:contents; } .bars .track { height:20px; border-radius:6px; background:var(--line); overflow:hidden; } .bars .fill { height:100%; border-radius:6px; background:linear-gradient(90deg,var(--s2),var(--s3)); min-width:2px; }
.bars .dim .fill { background:var(--soft); opacity:.5; } .bars .value { font-variant-numeric:tabular-nums; font-weight:620; text-align:right; } .bars .why { grid-column:1/-1; color:var(--soft); font-size:14px; margin:-4px 0 7px; overflow-wrap:anywhere; }
.stories { display:grid; grid-template-columns:repeat(auto-fill,minmax(340px,1fr)); gap:14px; margin-top:14px; }
.story { background:var(--card); border:1px solid var(--line); border-radius:14px; padding:16px 18px; break-inside:avoid; }
.story h3 { display:flex; align-items:center; gap:10px; margin:0 0 8px; font-size:17px; line-height:1.3; font-weight:650; } .story h3 > :nth-child(2) { flex:1; min-width:0; overflow-wrap:anywhere; }
.story .mark { flex:none; min-width:26px; height:26px; padding:0 5px; border-radius:13px; background:var(--ladder); border:2px solid var(--ladder); color:var(--card); font-size:14px; line-height:22px; font-weight:700; text-align:center; print-color-adjust:exact; }
.story.dim .mark { background:var(--card); color:var(--ladder); } .story.bad .mark { background:var(--card); border-color:var(--bad); color:var(--bad); } .story .gain { flex:none; font-variant-numeric:tabular-nums; }
.story p { margin:0 0 10px; overflow-wrap:anywhere; } .story .miss { color:var(--bad); font-size:14px; line-height:1.4; margin:8px 0 0; }
.story dl { display:grid; grid-template-columns:max-content 1fr; gap:3px 14px; margin:0; font-size:14px; line-height:1.4; font-variant-numeric:tabular-nums; } .story dt { color:var(--soft); } .story dd { margin:0; min-width:0; overflow-wrap:anywhere; }
pre { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px 16px; margin:14px 0; white-space:pre-wrap; overflow-wrap:anywhere; font:14px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.tables { overflow-x:auto; } table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:14px; }
th { text-align:right; vertical-align:bottom; color:var(--soft); font-weight:500; border-bottom:1px solid var(--line); padding:6px 10px; } td { text-align:right; padding:5px 10px; border-bottom:1px solid var(--line); white-space:nowrap; }
th:first-child, td:first-child { text-align:left; padding-left:0; }
ul { color:var(--soft); padding-left:20px; overflow-wrap:anywhere; } footer { color:var(--soft); font-size:14px; margin-top:40px; }
@media (max-width: 900px) { figure svg.wide { display:none; } figure svg.narrow { display:block; max-width:660px; margin:0 auto; } }
@media (max-width: 600px) {
  main { padding:24px 14px 48px; } h1 { font-size:26px; } h2 { font-size:20px; margin-top:34px; }
  .stories { grid-template-columns:1fr; gap:10px; } .cards { grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:10px; } .card { padding:12px 14px; } .card .value { font-size:23px; }
  figure { margin:0 -14px; border-left:0; border-right:0; border-radius:0; padding:12px 0 6px; } .legend { padding:0 14px 8px; }
  .bars { display:block; } .bars .row { display:grid; grid-template:"name value" "track track" "why why" / 1fr max-content; gap:3px 12px; margin-bottom:12px; }
  .bars .name { grid-area:name; } .bars .value { grid-area:value; } .bars .track { grid-area:track; height:12px; } .bars .why { grid-area:why; margin:0; }
  table, tbody { display:block; } thead { display:none; } tr { display:grid; grid-template-columns:1fr 1fr; gap:0 18px; padding:9px 0; border-bottom:1px solid var(--line); }
  td, td:first-child { display:flex; justify-content:space-between; gap:8px; border:0; padding:1px 0; white-space:normal; text-align:right; } td:first-child { grid-column:1/-1; font-weight:600; overflow-wrap:anywhere; }
  td:empty { display:none; } td:not(:first-child)::before { content:attr(data-column); color:var(--soft); text-align:left; }
}
@media print { main { padding:0; max-width:none; } .legend button { border:none; } figure, .card { break-inside:avoid; border-color:#ccc; } figure svg { max-height:142mm; } h2, .lead { break-after:avoid; } tr, .bars > * { break-inside:avoid; } .bars .fill, .bars .track { print-color-adjust:exact; } #tip { display:none; } @page { size:A4 landscape; margin:12mm; } }
@media (prefers-reduced-motion: reduce) { * { transition:none !important; } }
)css";

constexpr const char* kScript = R"js(
const tip = document.getElementById('tip');
function show(dot, x, y) {
  tip.replaceChildren(); const b = document.createElement('b'); b.textContent = dot.dataset.label; tip.append(b, dot.dataset.detail);
  tip.classList.add('on'); const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.max(8, Math.min(innerWidth - w - 8, x + 16)) + 'px'; tip.style.top = (y + 18 + h > innerHeight ? Math.max(8, y - h - 14) : y + 18) + 'px';
}
function hide() { tip.classList.remove('on'); }
for (const dot of document.querySelectorAll('[data-detail]')) {
  const title = dot.querySelector('title'); if (title) title.remove();
  dot.addEventListener('pointermove', e => show(dot, e.clientX, e.clientY)); dot.addEventListener('pointerleave', hide);
  dot.addEventListener('focus', () => { const r = dot.getBoundingClientRect(); show(dot, r.right, r.bottom); }); dot.addEventListener('blur', hide);
  dot.addEventListener('keydown', e => {
    if (e.key === 'Escape') { hide(); return; }
    const step = {ArrowRight:1, ArrowDown:1, ArrowLeft:-1, ArrowUp:-1}[e.key]; if (!step) return; e.preventDefault();
    const inOrder = dot.closest('svg').classList.contains('in-order');
    const near = [...dot.closest('svg').querySelectorAll('[data-detail]')].filter(d => d.style.display !== 'none')
      .map(d => [d, d.getBoundingClientRect()]).sort(([, a], [, b]) => inOrder ? 0 : a.left + a.right - b.left - b.right || a.top - b.top).map(([d]) => d);
    near[(near.indexOf(dot) + step + near.length) % near.length].focus();
  });
}
for (const button of document.querySelectorAll('.legend button')) button.addEventListener('click', () => {
  const on = button.getAttribute('aria-pressed') === 'false'; button.setAttribute('aria-pressed', on);
  for (const dot of button.closest('figure').querySelectorAll('svg .' + button.className)) dot.style.display = on ? '' : 'none';
});
)js";

}  // namespace

void Page::add_cards(const std::vector<Card>& cards) {
    body_ += "<section class=\"cards\">";
    for (const Card& card : cards) {
        body_ += fmt::format(
            "<div class=\"card{}\"><div class=\"label\">{}</div><div class=\"value\">{}</div><div class=\"note\">{}</div></div>",
            card.bad ? " bad" : "", escaped(card.label), escaped(card.value), escaped(card.note));
    }
    body_ += "</section>\n";
}

void Page::add_heading(const std::string& heading, const std::string& note) {
    body_ += fmt::format("<h2>{}</h2>", escaped(heading));
    body_ += note.empty() ? "\n" : fmt::format("<p class=\"lead\">{}</p>\n", escaped(note));
}

void Page::add_warnings(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) body_ += fmt::format("<p class=\"doubt\">Not certain: {}</p>\n", escaped(warning));
}

void Page::add_doubts(const std::vector<std::string>& sentences) {
    for (const std::string& sentence : sentences) body_ += fmt::format("<p class=\"doubt\">{}</p>\n", escaped(sentence));
}

void Page::add_figure(const Figure& figure) {
    body_ += "<figure>";
    if (!figure.legend.empty()) {
        body_ += "<div class=\"legend\">";
        for (const auto& [name, css_class] : figure.legend) {
            body_ += fmt::format("<button class=\"{}\" aria-pressed=\"true\"><i></i>{}</button>", escaped(css_class), escaped(name));
        }
        body_ += "</div>";
    }
    body_ += figure.wide + figure.narrow + "</figure>\n";
}

void Page::add_bars(const std::vector<BarRow>& rows) {
    body_ += "<div class=\"bars\">";
    for (const BarRow& row : rows) {
        body_ += fmt::format(
            "<div class=\"row\"><div class=\"name\">{}</div><div class=\"track{}\"><div class=\"fill\" style=\"width:{:.1f}%\">",
            escaped(row.name), row.dim ? " dim" : "", 100 * std::clamp(row.fraction, 0.0, 1.0));
        body_ += fmt::format("</div></div><div class=\"value\">{}</div>", escaped(row.value));
        if (!row.note.empty()) body_ += fmt::format("<div class=\"why\">{}</div>", escaped(row.note));
        body_ += "</div>";
    }
    body_ += "</div>\n";
}

void Page::add_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
    body_ += "<div class=\"tables\"><table><thead><tr>";
    for (const std::string& cell : header) body_ += fmt::format("<th scope=\"col\">{}</th>", escaped(cell));
    body_ += "</tr></thead><tbody>";
    for (const auto& row : rows) {
        body_ += "<tr>";
        // Narrow windows show a row as a block and each cell with its column's name.
        for (std::size_t i = 0; i < row.size(); ++i) {
            body_ += fmt::format("<td data-column=\"{}\">{}</td>", escaped(i < header.size() ? header[i] : ""), escaped(row[i]));
        }
        body_ += "</tr>";
    }
    body_ += "</tbody></table></div>\n";
}

void Page::add_notes(const std::vector<std::string>& notes) {
    if (notes.empty()) return;
    body_ += "<ul>";
    for (const std::string& note : notes) body_ += fmt::format("<li>{}</li>", escaped(note));
    body_ += "</ul>\n";
}

void Page::add_stories(const std::vector<Story>& stories) {
    body_ += "<div class=\"stories\">";
    for (const Story& story : stories) {
        body_ +=
            fmt::format("<article class=\"story{}\"><h3><span class=\"mark\">{}</span><span>{}</span><span class=\"gain\">{}</span></h3>",
                        story.is_bad   ? " bad"
                        : story.is_dim ? " dim"
                                       : "",
                        escaped(story.mark), escaped(story.title), escaped(story.value));
        if (!story.text.empty()) body_ += fmt::format("<p>{}</p>", escaped(story.text));
        if (!story.facts.empty()) {
            body_ += "<dl>";
            for (const auto& [name, value] : story.facts) body_ += fmt::format("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
            body_ += "</dl>";
        }
        for (const std::string& miss : story.misses) body_ += fmt::format("<p class=\"miss\">{}</p>", escaped(miss));
        body_ += "</article>\n";
    }
    body_ += "</div>\n";
}

void Page::add_code(const std::string& code) { body_ += fmt::format("<pre><code>{}</code></pre>\n", escaped(code)); }

std::string Page::render() const {
    std::string page =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
        "initial-scale=1\">";
    page += fmt::format("<title>{}</title>\n<style>", escaped(title_)) + plot_style() + kStyle + "</style></head>\n<body><main>\n";
    page += fmt::format("<h1>{}</h1><p class=\"sub\">{}</p>\n", escaped(title_), escaped(subtitle_)) + body_;
    page += fmt::format("<footer>Drawn by {}. Hover over a dot, or reach it with Tab and the arrow keys, for its numbers.</footer>\n",
                        escaped(made_by_));
    return page + "</main><div id=\"tip\" role=\"status\" aria-live=\"polite\"></div>\n<script>" + kScript + "</script></body></html>\n";
}

}  // namespace rafter::report
