// Counters of prom-client and their page, as far as the module and the application of the test use them.
const families = [];

export class Counter {
  constructor({ name, help, labelNames }) {
    Object.assign(this, { name, help, labelNames, series: new Map() });
    families.push(this);
  }
  inc(labels, value = 1) {
    if (value < 0) throw new Error("It is not possible to decrease a counter");
    for (const label of Object.keys(labels)) {
      if (!this.labelNames.includes(label)) throw new Error(`Added label "${label}" is not included in initial labelset`);
    }
    const key = this.labelNames.map((label) => `${label}=${JSON.stringify(String(labels[label]))}`).join(",");
    this.series.set(key, (this.series.get(key) ?? 0) + value);
  }
}

export const register = {
  contentType: "text/plain; version=0.0.4; charset=utf-8",
  async metrics() {
    return families
      .map(({ name, help, series }) => {
        const lines = [...series].map(([key, value]) => `${name}{${key}} ${value}`);
        return [`# HELP ${name} ${help}`, `# TYPE ${name} counter`, ...lines, ""].join("\n");
      })
      .join("\n");
  },
};
