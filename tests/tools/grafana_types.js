// Checks dashboards against Grafana's own types (@grafana/schema), with the compiler of TypeScript. It prints what is not
// of their types, what they do not know, and what they call deprecated: a line each, `file: path: what`.
//
//     node grafana_types.js FOLDER DASHBOARD.json...      (FOLDER has node_modules with @grafana/schema and typescript)
"use strict";
const fs = require("fs");
const path = require("path");
const [folder, ...files] = process.argv.slice(2);

const MODULES = path.join(folder, "node_modules");
// Version 11 has its types beside its code, and other names of files.
const RAW = ["types", "esm"].map((one) => `@grafana/schema/dist/${one}/raw`).find((one) => fs.existsSync(path.join(MODULES, one)));
const ts = require(path.join(MODULES, "typescript"));
const PANELS = { stat: "stat", timeseries: "timeseries", table: "table", bargauge: "bargauge", geomap: "geomap", "state-timeline": "statetimeline" };
// What Grafana's data source for Prometheus reads or writes, though the types of a dashboard lack it.
const OF_ANNOTATIONS = ["expr", "step", "tagKeys", "textFormat", "titleFormat", "useValueForTime"];
const OF_VARIABLES = ["definition"];

function typesIn(kind) {
  const name = fs.readdirSync(path.join(MODULES, RAW, kind)).find((one) => one.endsWith("types.gen.d.ts"));
  return `${RAW}/${kind}/${name.replace(".d.ts", "")}`;
}

// The data of a dashboard names the values of enumerations as texts, and leaves out what is as usual.
const HEAD = `import type { Dashboard } from "${typesIn("dashboard/x")}";
type Plain<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
`;

function without(objects, keys) {
  return objects.map((one) => Object.fromEntries(Object.entries(one).filter(([key]) => !keys.includes(key))));
}

function typed(dashboard) {
  const { id, ...rest } = dashboard;  // null stands for an id that is to be given, which the types lack
  const annotations = { ...rest.annotations, list: without(rest.annotations.list, OF_ANNOTATIONS) };
  return { ...rest, annotations, templating: { list: without(rest.templating.list, OF_VARIABLES) } };
}

function* everyPanel(dashboard) {
  for (const one of dashboard.panels) {
    if (one.type === "row") yield* one.panels; else yield one;
  }
}

// One literal for the dashboard, and one each for the options and the field options of every panel.
function program(dashboard) {
  const lines = [HEAD];
  const used = [...new Set([...everyPanel(dashboard)].map((panel) => panel.type))];
  for (const type of used) {
    if (!(type in PANELS)) throw new Error(`no types are known for panels of the type ${type}`);
    const name = PANELS[type];
    const types = typesIn(`composable/${name}/panelcfg/x`);
    const text = fs.readFileSync(path.join(MODULES, `${types}.d.ts`), "utf-8");
    lines.push(`import type * as ${name} from "${types}";`);
    lines.push(`type ${name}Fields = ${/interface FieldConfig|type FieldConfig/.test(text) ? `Plain<${name}.FieldConfig>` : "Record<string, unknown>"};`);
  }
  lines.push(`const dashboard: Plain<Dashboard> = ${JSON.stringify(typed(dashboard))};`);
  let number = 0;
  for (const panel of everyPanel(dashboard)) {
    const name = PANELS[panel.type];
    lines.push(`const options${number}: Plain<${name}.Options> = ${JSON.stringify(panel.options)};`);
    const custom = panel.fieldConfig.defaults.custom;
    if (custom) lines.push(`const custom${number}: ${name}Fields = ${JSON.stringify(custom)};`);
    number += 1;
  }
  return lines.join("\n");
}

function deprecations(source, checker) {
  const found = [];
  const visit = (node) => {
    if (ts.isPropertyAssignment(node) && ts.isObjectLiteralExpression(node.parent)) {
      const context = checker.getContextualType(node.parent);
      const name = node.name.text;
      const kinds = context ? (context.isUnion() ? context.types : [context]) : [];
      const tags = kinds.flatMap((kind) => checker.getPropertyOfType(kind, name)?.getJsDocTags(checker) ?? []);
      const tag = tags.find((one) => one.name === "deprecated");
      if (tag) found.push(`${name}: deprecated: ${ts.displayPartsToString(tag.text).split("\n")[0]}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...new Set(found)];
}

for (const file of files) {
  const dashboard = JSON.parse(fs.readFileSync(file, "utf-8"));
  const written = path.join(folder, path.basename(file, ".json") + ".ts");
  fs.writeFileSync(written, program(dashboard));
  const options = {
    strict: true, noEmit: true, skipLibCheck: true, types: [],
    module: ts.ModuleKind.CommonJS, moduleResolution: ts.ModuleResolutionKind.Node10,
  };
  const made = ts.createProgram([written], options);
  const source = made.getSourceFile(written);
  for (const one of ts.getPreEmitDiagnostics(made)) {
    console.log(`${path.basename(file)}: ${ts.flattenDiagnosticMessageText(one.messageText, " ").slice(0, 600)}`);
  }
  for (const one of deprecations(source, made.getTypeChecker())) console.log(`${path.basename(file)}: ${one}`);
}
