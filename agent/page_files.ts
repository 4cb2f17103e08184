// Page files: the files of the web page, by the path of a request.

/** The file of the page at this path, if there is one. */
export function pageFile(_path: string): { body: Uint8Array; headers: Record<string, string> } | undefined {
  return undefined;
}
