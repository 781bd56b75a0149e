"""Floor 2a: the names, dims, kinds and units of every variable: one `Var` each, and `validate`.

Coordinates are `Var`s as well. The reference page of the data model is printed from these tables.
"""

from zeoarray.schema.check import *
from zeoarray.schema.common import *
from zeoarray.schema.integration import *
from zeoarray.schema.joint import *
from zeoarray.schema.model import *
from zeoarray.schema.motion import *
from zeoarray.schema.patches import *
from zeoarray.schema.phases import *
from zeoarray.schema.quality import *
from zeoarray.schema.registration import *
from zeoarray.schema.tables import *
from zeoarray.schema.xct import *
from zeoarray.schema.xrdct import *
