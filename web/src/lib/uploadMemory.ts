/** Which asset an unfinished upload belongs to, kept over reloads like tus keeps the upload's own address. */

const PREFIX = 'headwater.asset:';

export function rememberAsset(uploadUrl: string, assetId: string): void {
  try {
    localStorage.setItem(PREFIX + uploadUrl, assetId);
  } catch {
    // Storage is full or forbidden: the upload itself does not depend on it.
  }
}

export function recallAsset(uploadUrl: string): string | null {
  try {
    return localStorage.getItem(PREFIX + uploadUrl);
  } catch {
    return null;
  }
}

export function forgetAsset(uploadUrl: string): void {
  try {
    localStorage.removeItem(PREFIX + uploadUrl);
  } catch {
    // As above.
  }
}
