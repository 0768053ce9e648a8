"""Linear attenuation coefficients of the phantom's tissues, in 1/cm,
at 60 keV (about the mean energy behind a 110 kVp chest spectrum).

Each is (mass attenuation coefficient) x (density). Coefficients: J. H. Hubbell and S. M.
Seltzer, NIST Standard Reference Database 126, "Tables of X-Ray Mass Attenuation Coefficients"
(compounds of table 4, compositions of ICRU Report 44), the database that NIST XCOM extends to
any mixture. Densities: ICRU Report 44; inflated lung 0.26 g/cm3; spongy bone as ICRP
Publication 110 has it, 1.18 g/cm3.
"""

import numpy as np

AIR = 0.1875 * 0.001205
WATER = 0.2059 * 1.000
FAT = 0.1974 * 0.950
SOFT = 0.2048 * 1.050
"""Skeletal muscle, which stands for every soft tissue that is not named."""
BLOOD = 0.2057 * 1.060
LIVER = 0.2050 * 1.060
LUNG = 0.2053 * 0.260
"""Lung tissue of 1.05 g/cm3 inflated to 0.26; `Anatomy.lung_density` scales it."""
SPONGY_BONE = 0.2350 * 1.180
CORTICAL_BONE = 0.3148 * 1.920
LEAD = 5.021 * 11.35


def hounsfield(mu: np.ndarray) -> np.ndarray:
    """CT numbers of attenuation coefficients: 1000 (mu - mu_water) / (mu_water - mu_air), in HU."""
    return 1000 * (mu - WATER) / (WATER - AIR)
