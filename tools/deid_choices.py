"""What we decide about the allow-list, as data: classes, exclusions, and what scanners write beyond PS3.3."""

from __future__ import annotations

OFFERED = (
    "modified_dates",
    "clean_descriptors",
    "patient_characteristics",
    "device_identity",
    "clean_structured_content",
    "clean_graphics",
)
"""Options a profile may switch on.  Original UIDs, full dates and the institution are never offered."""

_P = "1.2.840.10008.5.1.4.1.1."

SOP_CLASSES: dict[str, tuple[str, str, str, str]] = {
    # UID: name, modality, kind (what the engine expects in it), information object where the source has none
    f"{_P}1": ("Computed Radiography Image Storage", "CR", "image", ""),
    f"{_P}1.1": ("Digital X-Ray Image Storage - For Presentation", "DX", "image", ""),
    f"{_P}1.1.1": ("Digital X-Ray Image Storage - For Processing", "DX", "image", ""),
    f"{_P}1.2": ("Digital Mammography X-Ray Image Storage - For Presentation", "MG", "image", ""),
    f"{_P}1.2.1": ("Digital Mammography X-Ray Image Storage - For Processing", "MG", "image", ""),
    f"{_P}2": ("CT Image Storage", "CT", "image", ""),
    f"{_P}2.1": ("Enhanced CT Image Storage", "CT", "image", ""),
    f"{_P}2.2": ("Legacy Converted Enhanced CT Image Storage", "CT", "image", ""),
    f"{_P}3.1": ("Ultrasound Multi-frame Image Storage", "US", "image", ""),
    f"{_P}4": ("MR Image Storage", "MR", "image", ""),
    f"{_P}4.1": ("Enhanced MR Image Storage", "MR", "image", ""),
    f"{_P}4.3": ("Enhanced MR Color Image Storage", "MR", "image", ""),
    f"{_P}4.4": ("Legacy Converted Enhanced MR Image Storage", "MR", "image", ""),
    f"{_P}6.1": ("Ultrasound Image Storage", "US", "image", ""),
    f"{_P}6.2": ("Enhanced US Volume Storage", "US", "image", ""),
    f"{_P}7": ("Secondary Capture Image Storage", "OT", "image", ""),
    f"{_P}7.1": ("Multi-frame Single Bit Secondary Capture Image Storage", "OT", "image", ""),
    f"{_P}7.2": ("Multi-frame Grayscale Byte Secondary Capture Image Storage", "OT", "image", ""),
    f"{_P}7.3": ("Multi-frame Grayscale Word Secondary Capture Image Storage", "OT", "image", ""),
    f"{_P}7.4": ("Multi-frame True Color Secondary Capture Image Storage", "OT", "image", ""),
    f"{_P}11.1": ("Grayscale Softcopy Presentation State Storage", "PR", "presentation", ""),
    f"{_P}12.1": ("X-Ray Angiographic Image Storage", "XA", "image", ""),
    f"{_P}12.1.1": ("Enhanced XA Image Storage", "XA", "image", ""),
    f"{_P}12.2": ("X-Ray Radiofluoroscopic Image Storage", "RF", "image", ""),
    f"{_P}13.1.3": ("Breast Tomosynthesis Image Storage", "MG", "image", ""),
    f"{_P}20": ("Nuclear Medicine Image Storage", "NM", "image", ""),
    f"{_P}30": ("Parametric Map Storage", "OT", "image", ""),
    f"{_P}66.1": ("Spatial Registration Storage", "REG", "object", ""),
    f"{_P}66.4": ("Segmentation Storage", "SEG", "segmentation", ""),
    f"{_P}66.7": ("Label Map Segmentation Storage", "SEG", "segmentation", "segmentation"),
    f"{_P}67": ("Real World Value Mapping Storage", "RWV", "object", ""),
    f"{_P}88.11": ("Basic Text SR Storage", "SR", "report", ""),
    f"{_P}88.22": ("Enhanced SR Storage", "SR", "report", ""),
    f"{_P}88.33": ("Comprehensive SR Storage", "SR", "report", ""),
    f"{_P}88.34": ("Comprehensive 3D SR Storage", "SR", "report", ""),
    f"{_P}88.35": ("Extensible SR Storage", "SR", "report", ""),
    f"{_P}88.50": ("Mammography CAD SR Storage", "SR", "report", ""),
    f"{_P}88.59": ("Key Object Selection Document Storage", "KO", "report", ""),
    f"{_P}88.65": ("Chest CAD SR Storage", "SR", "report", ""),
    f"{_P}88.67": ("X-Ray Radiation Dose SR Storage", "SR", "report", ""),
    f"{_P}88.68": ("Radiopharmaceutical Radiation Dose SR Storage", "SR", "report", ""),
    f"{_P}88.73": ("Patient Radiation Dose SR Storage", "SR", "report", ""),
    f"{_P}88.76": ("Enhanced X-Ray Radiation Dose SR Storage", "SR", "report", "x-ray-radiation-dose-sr"),
    f"{_P}104.1": ("Encapsulated PDF Storage", "DOC", "document", ""),
    f"{_P}104.2": ("Encapsulated CDA Storage", "DOC", "document", ""),
    f"{_P}104.3": ("Encapsulated STL Storage", "M3D", "document", ""),
    f"{_P}128": ("Positron Emission Tomography Image Storage", "PT", "image", ""),
    f"{_P}128.1": ("Legacy Converted Enhanced PET Image Storage", "PT", "image", ""),
    f"{_P}130": ("Enhanced PET Image Storage", "PT", "image", ""),
    f"{_P}481.2": ("RT Dose Storage", "RTDOSE", "image", ""),
    f"{_P}481.3": ("RT Structure Set Storage", "RTSTRUCT", "object", ""),
}

SKIPPED_MODULES = (
    "clinical-trial",
    "specimen",
    "overlay-plane",
    "bitmap-display-shutter",
    "device",
    "approval",
    "visit",
    "patient-medical",
    "intervention",
    "mask-",
    "general-reference-x",
)
"""Whose content is identity, is drawn text, or has no use in research images."""

NEVER_VR = frozenset({"AE", "OB", "OD", "OF", "OL", "OV", "OW", "OB or OW", "PN", "UN", "UR", ""})

BINARY = frozenset(
    {
        "PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData", "PatientName", "ReferringPhysicianName", "ContentCreatorName",
        "PersonName", "VectorGridData", "SegmentedRedPaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData", "LUTData",
    }
)  # fmt: skip
"""Exceptions from NEVER_VR: numbers, and names that the engine replaces because the object must have one."""

NEVER = frozenset(
    {
        "SpecificCharacterSet", "PatientIdentityRemoved", "DeidentificationMethod",
        "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
        "EncryptedAttributesSequence", "OriginalAttributesSequence", "MACParametersSequence",
        "DigitalSignaturesSequence", "HL7StructuredDocumentReferenceSequence",
        "ContributingEquipmentSequence", "ReferencedRequestSequence", "RequestAttributesSequence",
        "ICCProfile", "PatientSpeciesDescription", "PatientBreedDescription", "PatientSpeciesCodeSequence",
        "PatientBreedCodeSequence", "BreedRegistrationSequence", "StrainDescription", "StrainNomenclature",
        "PatientComments", "QualityControlSubject", "ConversionSourceAttributesSequence",
        "EncapsulatedDocument", "DocumentTitle", "IconImageSequence", "TimezoneOffsetFromUTC",
        "InstanceOriginStatus", "PrivateDataElementCharacteristicsSequence", "QueryRetrieveView",
        "BarcodeValue", "ReferencedStudySequence", "ReferencedPatientSequence",
        "ReferencedDefinedProtocolSequence", "ReferencedPerformedProtocolSequence", "ParticipantSequence",
        "AuthorObserverSequence", "CustodialOrganizationSequence", "IdenticalDocumentsSequence",
        "UniversalEntityID", "UniversalEntityIDType", "PixelDataProviderURL",
        "GroupOfPatientsIdentificationSequence", "PatientAlternativeCalendar", "DataSetTrailingPadding",
        "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar",
        "IssuerOfAccessionNumberSequence", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
        "StrainStockSequence", "SourcePatientGroupIdentificationSequence", "LocalNamespaceEntityID",
        "StrainAdditionalInformation", "StrainCodeSequence", "GeneticModificationsSequence",
        "ResponsiblePersonRole", "Occupation", "EthnicGroup", "SOPAuthorizationComment",
        "AuthorizationEquipmentCertificationNumber", "ContextGroupIdentificationSequence",
        "CodingSchemeIdentificationSequence", "MappingResourceIdentificationSequence", "RequestingService",
        "RequestingServiceCodeSequence", "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence",
        "AdditionalPatientHistory", "ReasonForVisit", "ReasonForVisitCodeSequence",
        "ServiceEpisodeDescription", "LastMenstrualDate", "Allergies", "MedicalAlerts", "PatientState",
        "PregnancyStatus", "SmokingStatus", "PatientSexNeutered", "RequestedProcedureComments",
        "CommentsOnThePerformedProcedureStep", "ImageComments", "FrameComments",
        "PersonIdentificationCodeSequence", "StudyUpdateDateTime", "VerifyingObserverSequence",
        "ScheduledProcedureStepDescription",
    }
)  # fmt: skip
"""Written by the engine itself, drawn or packed text, ways into the hospital's systems, clinical history that no
measurement needs, comments, animals."""

NEVER_PARTS = (
    "Institution",
    "Address",
    "Telephone",
    "Operator",
    "Insurance",
    "Admission",
    "PersonIdentification",
    "Selector",
    "PrivateData",
    "PrivateGroup",
    "PrivateElements",
    "PrivateCreatorReference",
    "ResponsiblePerson",
    "RetrieveLocation",
)

CONTENT_TEMPLATE = "0040a504"
"""Content Template Sequence: it needs a Mapping Resource of its own (PS3.3 table C.18.8-1)."""

CODE_PARTS = frozenset(
    {
        0x00080100, 0x00080102, 0x00080104, 0x00080105, 0x00080106, 0x00080107, 0x0008010B, 0x0008010C, 0x0008010D,
        0x0008010E, 0x0008010F, 0x00080117, 0x00080118, 0x00080119, 0x00080120, 0x00080121, 0x00080122, 0x00080123,
        0x00080124,
    }
)  # fmt: skip
"""Code Sequence Macro (PS3.3 table 8.8-1)."""

TECHNICAL_TEXT = frozenset(
    {
        "AlgorithmVersion", "AttenuationCorrectionMethod", "CodingSchemeVersion", "ConvolutionKernel",
        "DeviceSerialNumber", "FilterType", "Manufacturer", "ManufacturerModelName", "PulseSequenceName",
        "ReceiveCoilManufacturerName", "ReceiveCoilName", "ReconstructionMethod", "RescaleType",
        "ScatterCorrectionMethod", "SequenceName", "SoftwareVersions", "StackID", "StationName",
        "TransmitCoilManufacturerName", "TransmitCoilName", "SecondaryCaptureDeviceManufacturer",
        "SecondaryCaptureDeviceManufacturerModelName", "SecondaryCaptureDeviceSoftwareVersions",
        "RealWorldValueLUTLabel", "LUTLabel", "ModalityLUTType", "ImagedNucleus",
    }
)  # fmt: skip
"""Texts that machines write: makers, models, kernels, sequences.  They pass unless they look personal."""

OPEN_CODE = frozenset({"BodyPartExamined", "ContentLabel"})
"""Code strings that people fill freely: reviewed words only."""

EXTRA_MODULES = {"image": ("x-image",), "segmentation": ("x-image",), "report": ("x-report",)}

EXTRAS: dict[str, tuple[str, ...]] = {
    "x-image": (
        "NumberOfFrames:1",
        # Scanners write these whether or not the information object lists them, and science needs them.
        "PixelSpacing:1", "ImageOrientationPatient:1", "ImagePositionPatient:1", "SliceThickness",
        "SliceLocation", "SpacingBetweenSlices", "RescaleIntercept:1", "RescaleSlope:1", "RescaleType:1",
        "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction",
        "PixelPaddingValue", "PixelPaddingRangeLimit", "FrameOfReferenceUID:1",
        "PositionReferenceIndicator:2", "ImagerPixelSpacing", "PixelAspectRatio",
        "SmallestImagePixelValue", "LargestImagePixelValue", "SpatialResolution", "ImageLaterality",
        "Laterality:2", "ViewPosition", "PatientOrientation:2", "KVP", "ExposureTime", "XRayTubeCurrent",
        "Exposure", "ExposureInuAs", "TriggerTime", "NominalInterval", "HeartRate", "LowRRValue",
        "HighRRValue", "IntervalsAcquired", "IntervalsRejected", "EchoNumbers", "DiffusionBValue",
        "DiffusionGradientOrientation", "ReceiveCoilName", "TransmitCoilName", "PercentPhaseFieldOfView",
        "PercentSampling", "NumberOfAverages", "PixelBandwidth", "ParallelReductionFactorInPlane",
        "ComplexImageComponent", "AcquisitionContrast", "AcquisitionDuration",
        "NominalPercentageOfCardiacPhase", "ImagesInAcquisition", "TemporalPositionIdentifier",
        "NumberOfTemporalPositions", "TemporalResolution", "AcquisitionUID", "IrradiationEventUID",
        "CTDIvol", "ScanOptions", "ReconstructionDiameter", "PatientPosition", "QualityControlImage",
        "PresentationLUTShape", "CalciumScoringMassFactorPatient", "CalciumScoringMassFactorDevice",
        "FlipAngle", "EchoTime", "RepetitionTime", "InversionTime", "MagneticFieldStrength",
        "ImagedNucleus", "ImagingFrequency", "SAR",
    ),
}  # fmt: skip

NESTED_EXTRAS = {
    # Content items below content items: the standard includes the macro in itself, its tables cannot.
    "x-report": (
        "ContentSequence",
        "ObservationDateTime",
        "ObservationUID",
        "RelationshipType:1",
        "ReferencedTimeOffsets",
    ),
}

ALWAYS_NESTED = (
    "CodeValue:1", "CodingSchemeDesignator:1", "CodingSchemeVersion", "CodeMeaning:1",
    "ReferencedSOPClassUID:1", "ReferencedSOPInstanceUID:1", "ReferencedFrameNumber",
    "ReferencedSegmentNumber", "PurposeOfReferenceCodeSequence:1", "SeriesInstanceUID:1",
    "StudyInstanceUID:1", "ReferencedSeriesSequence:1", "ReferencedInstanceSequence:1",
    "ReferencedSOPSequence:1", "AnatomicRegionSequence", "AnatomicRegionModifierSequence",
)  # fmt: skip
"""Codes and references, wherever they stand."""
