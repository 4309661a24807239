// A paper's tables and figures as a workflow: nextflow run examples/analysis/main.nf
params.plan = "$projectDir/effusion.toml"
params.script = "$projectDir/cohort.py"

process COHORT {
    input: path script
    output: path "cohort.csv"
    script:
    """
    python $script --output cohort.csv
    """
}

process ANALYSE {
    publishDir "analysis", mode: "copy"
    input:
    path plan
    path table
    output: path "analysis/*"
    script:
    """
    racoon analyse $plan --table $table --site-column site --output analysis
    """
}

workflow {
    ANALYSE(file(params.plan), COHORT(file(params.script)))
}
