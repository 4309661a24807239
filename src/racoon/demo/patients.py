"""Invented patients: names, numbers and visits that de-identification must take away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from pydicom.dataset import Dataset

GIVEN_FEMALE = (
    "Jörgine",
    "Käthe",
    "Ruža",
    "Änne",
    "Friederike",
    "Şebnem",
    "Gisela",
    "Özlem",
    "Zoë",
    "Hannelore",
    "Mathilde",
    "Ingeborg",
    "Swantje",
    "Birgül",
    "Roswitha",
    "Liesbeth",
    "Aurélie",
    "Thea",
    "Wiebke",
    "Małgorzata",
)
GIVEN_MALE = (
    "Jürgen",
    "Götz",
    "Sören",
    "Emre",
    "Wolfgang",
    "Günther",
    "Björn",
    "Karl-Heinz",
    "Matthäus",
    "Łukasz",
    "Rüdiger",
    "Volker",
    "Hüseyin",
    "Anselm",
    "Detlef",
    "Jörg",
    "Benedikt",
    "Tjark",
    "Ludwig",
    "Ömer",
)
FAMILY = (
    "Müßiggang",
    "Öchsle",
    "Grünspecht",
    "Bärenfänger",
    "Süßkind",
    "Kräuterlein",
    "Höllriegel",
    "Weißgerber",
    "Überall",
    "Schönfeldt",
    "Däubler",
    "Vögele",
    "Größer",
    "Hägenbarth",
    "Nußbaumer",
    "Wächtersbach",
    "Löwenzahn",
    "Rößler",
    "Kühnapfel",
    "Jägerndorf",
    "Äpfelbach",
    "Brückmann",
    "Förstemann",
    "Hölzenbein",
    "Mühlensiep",
    "Tränkle",
    "Zöllner-Brandt",
    "von Rübenau",
    "Pfäfflin",
    "Sträßner",
)
STREETS = (
    "Lindenweg",
    "Am Mühlbach",
    "Große Gasse",
    "Bahnhofstraße",
    "Schloßallee",
    "Birkenhöhe",
    "Hafenstraße",
)
PHYSICIANS = (
    "Dr. med. Möwe^Adelheid",
    "Prof. Dr. Fröhlich^Ernst",
    "Dr. Hößlin^Beate",
    "Dr. med. Kaltwaßer^Jens",
    "Dr. Ähre^Ute",
)


@dataclass(frozen=True)
class Patient:
    """One invented patient with one visit to radiology.

    Parameters
    ----------
    name
        DICOM person name, family^given.
    patient_id, accession_number
        The hospital's numbers.
    birth_date, study_date
        ``YYYYMMDD``.
    study_time
        ``HHMMSS``.
    sex
        ``F`` or ``M``.
    institution, address, department
        The hospital.
    referring_physician, performing_physician, operator
        Person names.
    """

    name: str
    patient_id: str
    birth_date: str
    sex: str
    size_m: float
    weight_kg: float
    patient_address: str
    phone: str
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    institution: str
    address: str
    department: str
    referring_physician: str
    performing_physician: str
    operator: str

    @property
    def age(self) -> int:
        """Age in full years on the day of the visit."""
        born, seen = date.fromisoformat(self.birth_date), date.fromisoformat(self.study_date)
        return seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))

    def describe(self, dataset: Dataset) -> None:
        """Write patient, visit with its date, and hospital into a dataset."""
        self.identify(dataset)
        dataset.StudyDate = self.study_date
        dataset.StudyTime = self.study_time
        dataset.StudyDescription = self.study_description

    def identify(self, dataset: Dataset) -> None:
        """Write patient and hospital into a dataset, and leave its dates and descriptions as they are."""
        # Names here need more than Latin-1; what is in the dataset already is brought along.
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword in (
            "PatientIdentityRemoved",
            "DeidentificationMethod",
            "DeidentificationMethodCodeSequence",
        ):
            if keyword in dataset:
                delattr(dataset, keyword)
        dataset.PatientName = self.name
        dataset.PatientID = self.patient_id
        dataset.IssuerOfPatientID = self.institution[:64]
        dataset.PatientBirthDate = self.birth_date
        dataset.PatientSex = self.sex
        dataset.PatientAge = f"{self.age:03d}Y"
        dataset.PatientSize = f"{self.size_m:.2f}"
        dataset.PatientWeight = f"{self.weight_kg:.1f}"
        dataset.PatientAddress = self.patient_address
        dataset.PatientTelephoneNumbers = self.phone
        dataset.StudyID = self.accession_number[-6:]
        dataset.AccessionNumber = self.accession_number
        dataset.InstitutionName = self.institution
        dataset.InstitutionAddress = self.address
        dataset.InstitutionalDepartmentName = self.department
        dataset.ReferringPhysicianName = self.referring_physician
        dataset.PerformingPhysicianName = self.performing_physician
        dataset.OperatorsName = self.operator


def draw_patient(
    rng: np.random.Generator, *, site: str, number: int, institution: str, city: str, description: str
) -> Patient:
    """Invent one patient.

    Parameters
    ----------
    rng
        Source of randomness.
    site, number
        Make the patient's and the visit's number unique.
    institution, city
        The hospital.
    description
        Study description.
    """
    is_female = bool(rng.random() < 0.47)
    given = str(rng.choice(GIVEN_FEMALE if is_female else GIVEN_MALE))
    family = str(rng.choice(FAMILY))
    seen = date(2024, 1, 8) + timedelta(days=int(rng.integers(0, 700)))
    age_days = int(np.clip(rng.normal(63, 12), 24, 91) * 365.25 + rng.integers(0, 365))
    size_m = float(np.clip(rng.normal(1.65 if is_female else 1.78, 0.07), 1.45, 2.05))
    code = sum(ord(letter) * (place + 3) for place, letter in enumerate(site)) % 900 + 100
    return Patient(
        name=f"{family}^{given}",
        patient_id=f"{site[:3]}-{code}{number:05d}",
        birth_date=f"{seen - timedelta(days=age_days):%Y%m%d}",
        sex="F" if is_female else "M",
        size_m=size_m,
        weight_kg=float(np.clip(rng.normal(26, 4), 18, 41)) * size_m**2,
        patient_address=f"{rng.choice(STREETS)} {rng.integers(1, 140)}, {rng.integers(10000, 99999)} {city}",
        phone=f"+49 {rng.integers(200, 999)} {rng.integers(100000, 9999999)}",
        accession_number=f"{seen:%y}{code}{number:07d}",
        study_date=f"{seen:%Y%m%d}",
        study_time=f"{rng.integers(7, 19):02d}{rng.integers(0, 60):02d}{rng.integers(0, 60):02d}",
        study_description=description,
        institution=institution,
        address=f"{rng.choice(STREETS)} 1, {city}",
        department="Institut für Diagnostische und Interventionelle Radiologie",
        referring_physician=str(rng.choice(PHYSICIANS)),
        performing_physician=str(rng.choice(PHYSICIANS)),
        operator=f"{rng.choice(FAMILY)}^{rng.choice(GIVEN_FEMALE)}",
    )
