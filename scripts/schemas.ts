// schemas: agent/schemas.json, what each verb answers as JSON Schema 2020-12, read off the types of the verbs by TypeScript itself. Not the
// OpenAPI document, which has them in it (agent/api_openapi.ts).
// Usage: deno task schemas [--check]. Own code because what generates schemas from types reads declarations, and ours are inferred.
import ts from "typescript";
import { VERBS } from "../agent/mod.ts";

const root = new URL("../", import.meta.url).pathname;
const target = `${root}agent/schemas.json`;

type Schema = Record<string, unknown>;

/** A program over the verbs, with the options of deno.json. */
function program(): ts.Program {
  return ts.createProgram([`${root}agent/verbs/mod.ts`, ...OTHERS.map(([, path]) => `${root}${path}`)], {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: false,
    allowImportingTsExtensions: true,
    noEmit: true,
    resolveJsonModule: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
    typeRoots: [`${root}node_modules/@types`],
  });
}

class Writer {
  readonly #checker: ts.TypeChecker;
  /** Types that are being written: one that has itself in it is written as anything. */
  readonly #open = new Set<ts.Type>();
  #where = "";

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker;
  }

  write(type: ts.Type, where: string): Schema {
    this.#where = where;
    return this.#schema(type);
  }

  #schema(type: ts.Type): Schema {
    if (type.isUnion()) return this.#union(type.types);
    if (type.isStringLiteral() || type.isNumberLiteral()) return { const: type.value };
    const { flags } = type;
    if (flags & ts.TypeFlags.BooleanLiteral) return { const: this.#checker.typeToString(type) === "true" };
    if (flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {};
    if (flags & (ts.TypeFlags.String | ts.TypeFlags.TemplateLiteral)) return { type: "string" };
    if (flags & ts.TypeFlags.Number) return { type: "number" };
    if (flags & ts.TypeFlags.Boolean) return { type: "boolean" };
    if (flags & (ts.TypeFlags.Null | ts.TypeFlags.Undefined | ts.TypeFlags.Void)) return { type: "null" };
    return this.#object(type);
  }

  #union(types: readonly ts.Type[]): Schema {
    const there = types.filter(({ flags }) => !(flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)));
    const bools = there.filter(({ flags }) => flags & ts.TypeFlags.BooleanLiteral);
    const schemas = there.filter((t) => bools.length < 2 || !bools.includes(t)).map((t) => this.#schema(t));
    if (bools.length === 2) schemas.push({ type: "boolean" });
    const consts = schemas.filter((s) => "const" in s);
    const others = schemas.filter((s) => !("const" in s));
    const all = [...(consts.length > 1 ? [{ enum: consts.map((s) => s.const) }] : consts), ...others];
    const plain = all.every((s) => typeof s.type === "string" && Object.keys(s).length === 1);
    if (all.length === 1) return all[0]!;
    return plain ? { type: all.map((s) => s.type) } : { anyOf: all };
  }

  #object(type: ts.Type): Schema {
    const checker = this.#checker;
    if (this.#open.has(type)) return {};
    this.#open.add(type);
    try {
      if (checker.isTupleType(type)) {
        const items = checker.getTypeArguments(type as ts.TypeReference).map((t) => this.#schema(t));
        return { type: "array", prefixItems: items, items: false, minItems: items.length };
      }
      if (checker.isArrayType(type)) {
        return { type: "array", items: this.#schema(checker.getTypeArguments(type as ts.TypeReference)[0]!) };
      }
      const name = type.symbol?.name ?? "";
      if (["Uint8Array", "Map", "Set", "Date", "Promise"].includes(name)) {
        throw new Error(`${this.#where}: a ${name} cannot be said in JSON.`);
      }
      const properties: Record<string, Schema> = {};
      const required: string[] = [];
      for (const property of checker.getPropertiesOfType(type)) {
        const of = checker.getTypeOfSymbol(property);
        const isOptional = (property.flags & ts.SymbolFlags.Optional) !== 0 ||
          (of.isUnion() && of.types.some(({ flags }) => flags & ts.TypeFlags.Undefined));
        properties[property.name] = this.#schema(of);
        if (!isOptional) required.push(property.name);
      }
      const rest = checker.getIndexTypeOfType(type, ts.IndexKind.String);
      return {
        type: "object",
        ...(Object.keys(properties).length > 0 && { properties }),
        ...(required.length > 0 && { required: required.sort() }),
        ...(rest !== undefined && { additionalProperties: this.#schema(rest) }),
      };
    } finally {
      this.#open.delete(type);
    }
  }
}

/** Types of what is answered beside the verbs that run in the agent: by routes of the API, and by verbs of the command line alone. */
const OTHERS: readonly [title: string, path: string, verb?: string][] = [
  ["ShelfRow", "agent/seam.ts"],
  ["ImageResult", "agent/content_image.ts", "image"],
  ["InstallResult", "agent/install.ts", "install"],
  ["CheckResult", "agent/rebuild_check.ts"],
  ["VmResult", "agent/vm/mod.ts", "vm"],
];

/** The schema of what each verb that runs in the agent answers, by its name there. */
export function schemas(): Record<string, Schema> {
  const made = program();
  const checker = made.getTypeChecker();
  const writer = new Writer(checker);
  const file = made.getSourceFile(`${root}agent/verbs/mod.ts`)!;
  const out: Record<string, Schema> = {};
  ts.forEachChild(file, (node) => {
    if (!ts.isImportDeclaration(node) || node.importClause?.namedBindings === undefined) return;
    if (!ts.isNamedImports(node.importClause.namedBindings)) return;
    for (const { name } of node.importClause.namedBindings.elements) {
      if (!name.text.endsWith("Verb")) continue;
      const verb = VERBS.find((v) => `${v.name}Verb` === name.text);
      if (verb?.run === undefined) continue;
      const run = checker.getTypeAtLocation(name).getProperty("run")!;
      const [signature] = checker.getNonNullableType(checker.getTypeOfSymbol(run)).getCallSignatures();
      const result = checker.getAwaitedType(checker.getReturnTypeOfSignature(signature!))!;
      const title = `${verb.name[0]!.toUpperCase()}${verb.name.slice(1)}Result`;
      out[title] = {
        description: `what isconf --json ${verb.name} prints, and POST /v1/${verb.name} answers`,
        ...writer.write(result, title),
      };
    }
  });
  for (const [title, path, verb] of OTHERS) {
    const module = checker.getSymbolAtLocation(made.getSourceFile(`${root}${path}`)!)!;
    const type = checker.getExportsOfModule(module).find(({ name }) => name === title)!;
    out[title] = {
      ...(verb !== undefined && { description: `what isconf --json ${verb} prints` }),
      ...writer.write(checker.getDeclaredTypeOfSymbol(type), title),
    };
  }
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => a < b ? -1 : 1));
}

if (import.meta.main) {
  const text = `${JSON.stringify(schemas(), null, 1)}\n`;
  if (Deno.args.includes("--check")) {
    if (text !== await Deno.readTextFile(target)) {
      throw new Error("agent/schemas.json is not what the types say: deno task schemas");
    }
  } else await Deno.writeTextFile(target, text);
}
