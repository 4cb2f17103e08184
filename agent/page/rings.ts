// Rings: where the hosts of a map are: this one in the middle, those that are connected around it, the others outside, the
// branches side by side. Plain numbers; not the drawing (mesh.tsx).

/** A place on the map; the middle is 0, 0. */
export interface Place {
  x: number;
  y: number;
}

const FIRST = 92;
const BETWEEN = 34;
const SPACE = 30;
const APART = 26;

/** How much room a map of so many hosts has: a few are drawn larger than a thousand. */
export function spacing(hosts: number): { dot: number; space: number } {
  if (hosts <= 24) return { dot: 11, space: SPACE + 22 };
  if (hosts <= 150) return { dot: 8, space: SPACE };
  return { dot: 5, space: 15 };
}

/**
 * Places for so many hosts that are connected and so many that are not, in this order; each ring is filled before the next,
 * and the outer ones begin apart from the inner. `radius`: how far the farthest is.
 */
export function ringPlaces(
  near: number,
  far: number,
  space: number,
): { near: Place[]; far: Place[]; radius: number } {
  const between = Math.max(BETWEEN / 2, space * 0.95);
  const first = Math.max(FIRST, space * 2.2);
  const inner = fill(near, first, space, between);
  const start = near === 0 ? first : inner.radius + between + APART;
  const outer = fill(far, start, space, between);
  return { near: inner.places, far: outer.places, radius: far === 0 ? inner.radius : outer.radius };
}

function fill(
  count: number,
  first: number,
  space: number,
  between: number,
): { places: Place[]; radius: number } {
  const places: Place[] = [];
  let radius = first;
  for (let left = count, ring = 0; left > 0; ring++) {
    radius = first + ring * between;
    const fits = Math.max(1, Math.floor(2 * Math.PI * radius / space));
    const here = Math.min(left, fits);
    for (let i = 0; i < here; i++) {
      const angle = 2 * Math.PI * i / here - Math.PI / 2 + (ring % 2) * Math.PI / Math.max(here, 1);
      places.push({ x: round(radius * Math.cos(angle)), y: round(radius * Math.sin(angle)) });
    }
    left -= here;
  }
  return { places, radius };
}

const round = (n: number) => Math.round(n * 10) / 10;
