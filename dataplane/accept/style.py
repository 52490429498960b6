"""How the HTML report looks: one sheet, for the screen and for paper. Pure."""

STYLE = """
:root{--ink:#17212b;--soft:#5b6b7a;--line:#e3e8ed;--paper:#fff;--ground:#f3f5f7;--main:#0f6b8f;--ceiling:#c2410c;
--passed:#20794a;--failed:#b42318;--disturbed:#a15c00;--skipped:#64748b}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.55 "Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1040px;margin:0 auto;padding:32px 24px 64px}
header,section{background:var(--paper);border:1px solid var(--line);border-radius:10px;
padding:26px 32px;margin:0 0 18px}
header{border-top:6px solid var(--skipped)}
header.passed{border-top-color:var(--passed)}header.failed{border-top-color:var(--failed)}
header.disturbed{border-top-color:var(--disturbed)}
.kicker{margin:0;color:var(--soft);text-transform:uppercase;letter-spacing:.14em;font-size:12px;font-weight:600}
h1{font-size:30px;line-height:1.2;margin:4px 0 2px;font-weight:650}
h2{font-size:19px;margin:0 0 14px;font-weight:650}
h3{font-size:17px;margin:0;font-weight:650;display:flex;gap:10px;align-items:baseline}
h3 em{font-style:normal;font-weight:400;color:var(--soft);flex:1}
.when{color:var(--soft);margin:0 0 18px}
.verdict{display:flex;gap:16px;align-items:center}
.verdict strong{font-size:18px;text-transform:uppercase;letter-spacing:.06em;color:#fff;padding:5px 16px;
border-radius:6px;background:var(--skipped)}
.passed .verdict strong{background:var(--passed)}.failed .verdict strong{background:var(--failed)}
.disturbed .verdict strong{background:var(--disturbed)}
table{border-collapse:collapse;width:100%}
th{text-align:left;color:var(--soft);font-size:12px;font-weight:600;text-transform:uppercase;letter-spacing:.05em}
th,td{padding:8px 12px 8px 0;border-bottom:1px solid var(--line);vertical-align:middle}
tbody tr:last-child td,tbody tr:last-child th{border-bottom:0}
td small{display:block;color:var(--soft)}
th.n,td.n{text-align:right;padding-right:26px}
td.n,.big{font-variant-numeric:tabular-nums;white-space:nowrap}
.big{font-size:30px;font-weight:650;margin:6px 0 0;color:var(--main)}
a{color:inherit;text-decoration:none;font-weight:600}
a:hover{text-decoration:underline}
.badge{display:inline-block;font-size:12px;font-weight:600;padding:2px 10px;border-radius:99px;color:#fff}
.badge.passed{background:var(--passed)}.badge.failed{background:var(--failed)}
.badge.disturbed{background:var(--disturbed)}.badge.skipped{background:var(--skipped)}
.fault{color:var(--failed);font-weight:600;margin:4px 0}
.note{color:var(--soft);margin:4px 0}
.facts th{width:190px;text-transform:none;letter-spacing:0;font-size:14px}
.facts td{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;word-break:break-word}
.plots{display:flex;gap:24px;margin-top:14px;align-items:flex-end}
figure{margin:0;flex:2}figure+figure{flex:1}figure.wide{flex:none;width:66%}
figcaption{color:var(--soft);font-size:13px;text-align:center;margin-top:2px}
svg{width:100%;height:auto;display:block}
svg.meter{width:110px}
.grid{stroke:var(--line);stroke-width:1}
.line{fill:none;stroke:var(--main);stroke-width:2.2;stroke-linejoin:round}
.area{fill:var(--main);opacity:.1}.dot{fill:var(--main)}
.bar{fill:var(--main)}.rail{fill:var(--line)}.over{fill:var(--ceiling)}
.ceiling{stroke:var(--ceiling);stroke-width:1.6;stroke-dasharray:6 4}
.tick,.unit,.mark,.value{font:12px "Segoe UI",Roboto,Arial,sans-serif;fill:var(--soft)}
.mark{fill:var(--ceiling)}.value{fill:var(--ink);font-weight:600}
.middle{text-anchor:middle}.end{text-anchor:end}
@media (max-width:760px){.plots{flex-direction:column}figure,figure.wide{width:100%}section,header{padding:20px}}
@media print{body{background:#fff;font-size:12px}main{padding:0;max-width:none}
header,section{border-color:#ccc;break-inside:avoid;padding:14px 18px}*{print-color-adjust:exact}}
"""
