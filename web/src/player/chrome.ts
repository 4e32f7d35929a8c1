/** Defines the elements of the player's controls. */

import 'media-chrome';
import 'media-chrome/menu';
