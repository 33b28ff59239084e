"""What the notebooks import: the public names of `coursework`, loaded when they are first used.

`import utilities` prints nothing and loads neither TensorFlow nor Matplotlib. See `help(utilities.score)`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    "coursework",
    submodules=["explore"],  # widgets on a trained model, such as `utilities.explore.mistakes`
    submod_attrs={
        "files": [
            "ROOT",  # the project's folder
            "content_hash",  # SHA-256 of arrays
            "output_folder",  # where a profile writes to
        ],
        "text": [
            "format_duration",  # "2 min 5 s"
            "pluralize",  # "1 epoch", "20 epochs"
            "signed",  # "+0.0123"
        ],
        "session": [
            "start",  # load Keras quietly and seed everything
        ],
        "data": [
            "DIGITS",  # class names of MNIST
            "load_mnist",  # training, validation and test images with their labels
            "split_last",  # hold out the last part of the data
        ],
        "course_split": [
            "FASHION_CLASSES",  # class names of Fashion-MNIST
            "load_fashion_mnist",  # the course's split, or the official one
        ],
        "metrics": [
            "F1Score",  # the macro F1 score as a Keras metric
        ],
        "optimizers": [
            "Muon",  # orthogonalised updates for dense and convolutional kernels
            "cosine_decay",  # a learning rate that falls from its peak to zero
            "one_cycle",  # a learning rate that rises, then falls to zero
        ],
        "augmentation": [
            "Augmentation",  # random flips, shifts and erased rectangles
        ],
        "training": [
            "TrainingMonitor",  # callback of `fit`: live curves, best weights, checkpoint
            "training_batches",  # shuffled batches for `fit`
        ],
        "models": [
            "load_model",
            "predict_probabilities",  # class probabilities of images
            "save_model",
            "with_test_time_augmentation",  # average the predictions over ten versions of an image
        ],
        "evaluation": [
            "class_scores",  # precision, recall and F1 of each class
            "confused_pairs",  # the pairs of classes that are confused most often
            "confusion_correlation",  # whether two confusion matrices agree
            "mean_probabilities",  # a soft confusion matrix
            "overfitting_onset",  # the epoch from which the validation loss rises
            "paired_test",  # McNemar's test of two models
            "rounded_batch_f1",  # the biased F1 of old Keras code
            "score",  # accuracy and macro F1 with their intervals
            "score_table",  # several scores as a table
        ],
        "architecture": [
            "layer_arithmetic",  # output shapes and parameters by the formulas
            "multiply_adds",  # operations for one image
        ],
        "inspection": [
            "dead_units",  # ReLU units that are zero for all images
            "gradient_norms",  # norm of the gradient in each layer
        ],
        "study": [
            "EXPERIMENT_METRICS",  # the metrics of part 3 with their labels
            "budget_agreement",  # rankings at the reduced and the full budget
            "budget_sentences",
            "claim_effects",  # the verdict on each claim
            "claim_sentences",
            "load_experiments",  # the tables of `make experiments`
            "variant_effects",  # the effect of each variant
        ],
        "figures": [
            "plot_activations",
            "plot_augmentation",
            "plot_class_distribution",
            "plot_confusion_matrices",
            "plot_filters",
            "plot_gradient_norms",
            "plot_samples",
        ],
        "study_figures": ["plot_cost", "plot_effects", "plot_learning_curves"],
        "submission": ["write_submission"],  # a checked submission.csv
        "run_record": [
            "declared_parameters",  # the parameters of a notebook with their values
            "write_metrics",  # the metrics file of a run
        ],
    },
)
